#include "common/gguf/gguf_tokenizer.h"

#include <fmt/ranges.h>

#include "common/error.h"

namespace hullft {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

// How tokenizer.ggml.pre cuts a text: a row each.
struct Cutting {
  const char* name;
  bool nfc;            // text is brought to Unicode's form NFC first
  bool digits;         // digits stand alone
  const char* regex;   // in place of GPT-2's; null: GPT-2's
  bool ignore_merges;  // a word that is a token is that token
};

constexpr Cutting kCuttings[] = {
    {"gpt-2", false, false, nullptr, false},
    {"smollm", false, true, nullptr, false},
    {"llama-bpe", false, false,
     R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     true},
    {"qwen2", true, false,
     R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     false},
};

// tokenizer.ggml.token_type
constexpr int64_t kControl = 3, kUserDefined = 4;

[[noreturn]] void Fail(const GgufFile& file, const std::string& key, const std::string& what) {
  throw Error(Code::kData, fmt::format("{}: {} {}", file.path(), key, what),
              "put the model's tokenizer.json into the folder of the GGUF file");
}

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

const json& List(const GgufFile& file, const std::string& key, bool (json::*is_type)() const noexcept) {
  const json& list = file.Get(key);
  if (!list.is_array()) Fail(file, key, "is missing or not a list");
  for (const json& item : list)
    if (!(item.*is_type)()) Fail(file, key, "holds values of the wrong type");
  return list;
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

// A token before the text where the file asks for one.
ordered_json PostProcessor(const GgufFile& file, const json& tokens) {
  if (file.Get("tokenizer.ggml.add_eos_token") == true)
    Fail(file, "tokenizer.ggml.add_eos_token", "is true, which is not implemented");
  if (file.Get("tokenizer.ggml.add_bos_token") != true) return nullptr;
  const json& id = file.Get("tokenizer.ggml.bos_token_id");
  if (!id.is_number_unsigned() || id.get<uint64_t>() >= tokens.size())
    Fail(file, "tokenizer.ggml.bos_token_id", "is not a token");
  const ordered_json bos = tokens[id.get<size_t>()];
  const ordered_json token = {{"SpecialToken", {{"id", bos}, {"type_id", 0}}}},
                     text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  ordered_json special;
  special[bos.get<std::string>()] = {
      {"id", bos}, {"ids", ordered_json::array({id.get<uint64_t>()})}, {"tokens", ordered_json::array({bos})}};
  return {{"type", "TemplateProcessing"},
          {"single", ordered_json::array({token, text})},
          {"pair", ordered_json::array()},
          {"special_tokens", special}};
}

}  // namespace

ordered_json GgufTokenizer(const GgufFile& file) {
  const json& kind = file.Get("tokenizer.ggml.model");
  if (kind != "gpt2") Fail(file, "tokenizer.ggml.model", fmt::format("is {}; \"gpt2\" is implemented", kind.dump()));
  const Cutting& cutting = CuttingOf(file);
  const json& tokens = List(file, "tokenizer.ggml.tokens", &json::is_string);
  const json& types = List(file, "tokenizer.ggml.token_type", &json::is_number_integer);
  const json& merges = List(file, "tokenizer.ggml.merges", &json::is_string);
  if (types.size() != tokens.size()) Fail(file, "tokenizer.ggml.token_type", "is not as long as tokenizer.ggml.tokens");
  json vocabulary = json::object();
  ordered_json added = ordered_json::array();
  for (size_t id = 0; id < tokens.size(); ++id) {
    const auto& content = tokens[id].get_ref<const std::string&>();
    if (!vocabulary.emplace(content, id).second) Fail(file, "tokenizer.ggml.tokens", "has '" + content + "' twice");
    const auto type = types[id].get<int64_t>();
    if (type != kControl && type != kUserDefined) continue;
    added.push_back({{"id", id},
                     {"content", content},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", type == kControl}});
  }
  ordered_json result = {{"version", "1.0"}, {"added_tokens", added}};
  if (cutting.nfc) result["normalizer"] = {{"type", "NFC"}};
  result["pre_tokenizer"] = PreTokenizer(cutting);
  result["post_processor"] = PostProcessor(file, tokens);
  result["decoder"] = ByteLevel(true);
  result["model"] = {
      {"type", "BPE"}, {"ignore_merges", cutting.ignore_merges}, {"vocab", vocabulary}, {"merges", merges}};
  return result;
}

}  // namespace hullft
