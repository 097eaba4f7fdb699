// Fuzz targets: each is given any bytes and feeds them to one reader of hullft. A reader may refuse them with an Error
// that says what is wrong; a crash, a hang, another exception, an Error of code kInternal or a property that does not
// hold is a finding. scripts/fuzz runs them under libFuzzer; fuzz_replay_test runs every checked-in input through them.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace hullft::fuzz {

void CheckpointIndex(std::string_view input);   // model.safetensors.index.json
void Config(std::string_view input);            // options' --config FILE
void Faiss(std::string_view input);             // flat index files of FAISS
void Gguf(std::string_view input);              // models in one file
void Journal(std::string_view input);           // results.jsonl of a run
void Jsonl(std::string_view input);             // corpora and queries, plain or compressed
void Manifest(std::string_view input);          // of a corpus and of a partition
void ModelConfig(std::string_view input);       // config.json of a model
void Npy(std::string_view input);               // embeddings
void Report(std::string_view input);            // provenance.json and results.jsonl, as they are reported
void Safetensors(std::string_view input);       // weights
void SentenceSettings(std::string_view input);  // the files beside an encoder's weights
void Status(std::string_view input);            // status.json of a run
void Sweep(std::string_view input);             // a sweep's TOML
void Tokenizer(std::string_view input);         // tokenizer.json
void Wire(std::string_view input);              // messages between ranks

struct Target {
  const char* name;  // of the folder in tests/fuzz/corpus
  void (*run)(std::string_view input);
};
inline constexpr Target kTargets[] = {{"checkpoint_index", CheckpointIndex},
                                      {"config", Config},
                                      {"faiss", Faiss},
                                      {"gguf", Gguf},
                                      {"journal", Journal},
                                      {"jsonl", Jsonl},
                                      {"manifest", Manifest},
                                      {"model_config", ModelConfig},
                                      {"npy", Npy},
                                      {"report", Report},
                                      {"safetensors", Safetensors},
                                      {"sentence_settings", SentenceSettings},
                                      {"status", Status},
                                      {"sweep", Sweep},
                                      {"tokenizer", Tokenizer},
                                      {"wire", Wire}};

// A file of this name, in this folder, that holds content, in a folder of this process that is removed at its end.
// Written anew by each call.
std::filesystem::path InFile(const std::string& name, std::string_view content);

// Input n of a target that reads several files: they stand one after the other, with "====" on a line between two.
// Empty where there are fewer.
std::string_view Part(std::string_view input, size_t n);

// Throws std::logic_error, which no target catches: a finding.
void Require(bool condition, const char* property);

// Runs reader; false when it refused its input as it should.
bool Accepted(void (*reader)(const void*), const void* argument);
template <class Reader>
bool Accepted(const Reader& reader) {
  return Accepted([](const void* argument) { (*static_cast<const Reader*>(argument))(); }, &reader);
}

}  // namespace hullft::fuzz
