// How fast texts become ids, one thread: an index build over many GB is bound by it when embeddings are given.
// Run: build/release/tests/tokenizer/tokenizer_bench   (needs data/models and data/corpus)
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "common/tokenizer/tokenizer.h"

namespace hullft {
namespace {

std::filesystem::path Data() {
  const char* data = std::getenv("HULLFT_DATA");
  return data != nullptr ? data : HULLFT_SOURCE_DIR "/data";
}

// The first texts of the demo corpus.
std::vector<std::string> Texts(size_t bytes) {
  std::ifstream file(Data() / "corpus/train.jsonl");
  std::vector<std::string> texts;
  size_t total = 0;
  for (std::string line; total < bytes && std::getline(file, line); total += texts.back().size())
    texts.push_back(nlohmann::json::parse(line)["text"].get<std::string>());
  return texts;
}

void EncodeCorpus(benchmark::State& state, const std::filesystem::path& file) {
  const auto tokenizer = Tokenizer::Load(file);
  const auto texts = Texts(60 << 20);
  int64_t bytes = 0, tokens = 0;
  for (auto _ : state) {
    for (const std::string& text : texts) {
      tokens += static_cast<int64_t>(tokenizer->Encode(text, false).size());
      bytes += static_cast<int64_t>(text.size());
    }
  }
  state.SetBytesProcessed(bytes);
  state.counters["tokens/s"] = benchmark::Counter(static_cast<double>(tokens), benchmark::Counter::kIsRate);
}

std::filesystem::path Model(const char* name) {
  return Data() / "models" / name / "tokenizer.json";
}
std::filesystem::path Golden(const char* name) {
  return std::filesystem::path(HULLFT_SOURCE_DIR "/tests/goldens/tokenizers") / (std::string(name) + ".tokenizer.json");
}
BENCHMARK_CAPTURE(EncodeCorpus, smollm2, Model("smollm2-135m-instruct"))->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(EncodeCorpus, minilm, Model("all-minilm-l6-v2"))->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(EncodeCorpus, qwen, Golden("qwen_3000"))->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(EncodeCorpus, gemma, Golden("gemma_1700"))->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(EncodeCorpus, xlmr, Golden("xlmr_2000"))->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace hullft
