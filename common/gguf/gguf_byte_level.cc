// Byte-level BPE with the merges that the file lists.
#include <fmt/ranges.h>

#include <string>
#include <vector>

#include "common/gguf/gguf_vocabulary.h"

namespace hullft::gguf {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr const char* kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// How tokenizer.ggml.pre cuts a text: a row each. "default" is none of them: it says that the converter did not know.
struct Cutting {
  const char* name;
  bool nfc = false;             // text is brought to Unicode's form NFC first
  bool digits = false;          // digits stand alone
  const char* regex = nullptr;  // in place of GPT-2's
  bool ignore_merges = false;   // a word that is a token is that token
  bool bos = false;             // a token before the text unless the file says otherwise
};

constexpr Cutting kCuttings[] = {
    {.name = "gpt-2"},
    {.name = "olmo", .nfc = true},  // GPT-NeoX's own, Pythia's too
    {.name = "mpt", .nfc = true},   // GPT-NeoX's in older files
    {.name = "smollm", .digits = true},
    {.name = "starcoder", .digits = true},
    {.name = "refact", .digits = true},
    {.name = "llama-bpe", .regex = kLlama3, .ignore_merges = true, .bos = true},
    {.name = "llama3", .regex = kLlama3, .ignore_merges = true, .bos = true},
    {.name = "llama-v3", .regex = kLlama3, .ignore_merges = true, .bos = true},
    {.name = "smaug-bpe", .regex = kLlama3},
    {.name = "dbrx", .regex = kLlama3},  // OLMo 2, Phi-4
    {.name = "qwen2", .nfc = true, .regex = kQwen2},
};

const Cutting& CuttingOf(const GgufFile& file) {
  const std::string key = "tokenizer.ggml.pre";
  const json& value = file.Get(key);
  std::vector<std::string> known;
  for (const Cutting& cutting : kCuttings) {
    if (value == cutting.name) return cutting;
    known.emplace_back(cutting.name);
  }
  Fail(file, key, fmt::format("is {}; of these {} are implemented", value.dump(), fmt::join(known, ", ")));
}

ordered_json ByteLevel(bool use_regex) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", use_regex}};
}

ordered_json PreTokenizer(const Cutting& cutting) {
  ordered_json steps = ordered_json::array();
  if (cutting.digits) steps.push_back({{"type", "Digits"}, {"individual_digits", true}});
  if (cutting.regex != nullptr)
    steps.push_back(
        {{"type", "Split"}, {"pattern", {{"Regex", cutting.regex}}}, {"behavior", "Isolated"}, {"invert", false}});
  steps.push_back(ByteLevel(cutting.regex == nullptr));
  return {{"type", "Sequence"}, {"pretokenizers", steps}};
}

}  // namespace

ordered_json ByteLevelBpe(const GgufFile& file) {
  const Cutting& cutting = CuttingOf(file);
  if (file.Get("tokenizer.ggml.add_space_prefix") == true)
    Fail(file, "tokenizer.ggml.add_space_prefix", "is true, which is not implemented");
  const Vocabulary vocabulary = ReadVocabulary(file, false);
  const json& merges = List(file, "tokenizer.ggml.merges", &json::is_string);
  ordered_json result = {{"version", "1.0"}, {"added_tokens", vocabulary.added}};
  if (cutting.nfc) result["normalizer"] = {{"type", "NFC"}};
  result["pre_tokenizer"] = PreTokenizer(cutting);
  result["post_processor"] = PostProcessor(file, vocabulary.tokens, cutting.bos);
  result["decoder"] = ByteLevel(true);
  result["model"] = {
      {"type", "BPE"}, {"ignore_merges", cutting.ignore_merges}, {"vocab", vocabulary.ids}, {"merges", merges}};
  return result;
}

}  // namespace hullft::gguf
