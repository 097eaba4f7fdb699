#include "common/gguf/gguf_tokenizer.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

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
constexpr int64_t kNormal = 1, kControl = 3, kUserDefined = 4;

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

// A token before the text where the file asks for one, or says nothing and its kind has one by default.
ordered_json PostProcessor(const GgufFile& file, const json& tokens, bool by_default) {
  if (file.Get("tokenizer.ggml.add_eos_token") == true)
    Fail(file, "tokenizer.ggml.add_eos_token", "is true, which is not implemented");
  const json& add = file.Get("tokenizer.ggml.add_bos_token");
  if (add.is_null() ? !by_default : add != true) return nullptr;
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

// What both kinds have in common: tokens with their ids, and those of them that are cut out of a text first.
struct Vocabulary {
  const json &tokens, &types;
  json ids = json::object();
  ordered_json added = ordered_json::array();
};

Vocabulary ReadVocabulary(const GgufFile& file) {
  Vocabulary vocabulary{List(file, "tokenizer.ggml.tokens", &json::is_string),
                        List(file, "tokenizer.ggml.token_type", &json::is_number_integer)};
  const json &tokens = vocabulary.tokens, &types = vocabulary.types;
  if (types.size() != tokens.size()) Fail(file, "tokenizer.ggml.token_type", "is not as long as tokenizer.ggml.tokens");
  for (size_t id = 0; id < tokens.size(); ++id) {
    const auto& content = tokens[id].get_ref<const std::string&>();
    if (!vocabulary.ids.emplace(content, id).second) Fail(file, "tokenizer.ggml.tokens", "has '" + content + "' twice");
    const auto type = types[id].get<int64_t>();
    if (type != kControl && type != kUserDefined) continue;
    vocabulary.added.push_back({{"id", id},
                                {"content", content},
                                {"single_word", false},
                                {"lstrip", false},
                                {"rstrip", false},
                                {"normalized", false},
                                {"special", type == kControl}});
  }
  return vocabulary;
}

ordered_json ByteLevelBpe(const GgufFile& file) {
  const Cutting& cutting = CuttingOf(file);
  const Vocabulary vocabulary = ReadVocabulary(file);
  const json& merges = List(file, "tokenizer.ggml.merges", &json::is_string);
  ordered_json result = {{"version", "1.0"}, {"added_tokens", vocabulary.added}};
  if (cutting.nfc) result["normalizer"] = {{"type", "NFC"}};
  result["pre_tokenizer"] = PreTokenizer(cutting);
  result["post_processor"] = PostProcessor(file, vocabulary.tokens, false);
  result["decoder"] = ByteLevel(true);
  result["model"] = {
      {"type", "BPE"}, {"ignore_merges", cutting.ignore_merges}, {"vocab", vocabulary.ids}, {"merges", merges}};
  return result;
}

struct Merge {
  double score;
  size_t left_length, right_length;  // in characters
  std::string left, right;
};

constexpr size_t kLongestPiece = 512;  // every cut of a piece is looked at; SentencePiece's own are below 100

size_t Characters(std::string_view text) {
  return static_cast<size_t>(std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

// SentencePiece joins the two neighbours whose union is the piece of the highest score. As merges: every way to cut a
// piece into two others, by the piece's score (transformers' generate_merges, with its order of equal ones).
ordered_json MergesByScore(const GgufFile& file, const Vocabulary& vocabulary) {
  const json& scores = List(file, "tokenizer.ggml.scores", &json::is_number);
  if (scores.size() != vocabulary.tokens.size())
    Fail(file, "tokenizer.ggml.scores", "is not as long as tokenizer.ggml.tokens");
  std::vector<Merge> merges;
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    if (vocabulary.types[id] != kNormal) continue;
    const auto& piece = vocabulary.tokens[id].get_ref<const std::string&>();
    if (piece.size() > kLongestPiece) Fail(file, "tokenizer.ggml.tokens", "has a piece of more than 512 bytes");
    const auto first = static_cast<std::ptrdiff_t>(merges.size());
    for (size_t cut = 1; cut < piece.size(); ++cut) {
      if ((piece[cut] & 0xC0) == 0x80) continue;  // within a character
      std::string left = piece.substr(0, cut), right = piece.substr(cut);
      if (!vocabulary.ids.contains(left) || !vocabulary.ids.contains(right)) continue;
      const size_t left_length = Characters(left), right_length = Characters(right);
      merges.push_back({scores[id].get<double>(), left_length, right_length, std::move(left), std::move(right)});
    }
    std::ranges::sort(merges.begin() + first, merges.end(), {}, [&](const Merge& m) {
      return std::pair(vocabulary.ids[m.left].get<size_t>(), vocabulary.ids[m.right].get<size_t>());
    });
  }
  std::ranges::stable_sort(merges, std::greater<>(),
                           [](const Merge& m) { return std::tuple(m.score, m.left_length, m.right_length); });
  ordered_json list = ordered_json::array();
  for (const Merge& merge : merges) list.push_back(ordered_json::array({merge.left, merge.right}));
  return list;
}

// SentencePiece's BPE with bytes for what is no piece, as the tokenizer.json of Llama 2 says it.
ordered_json SentencePieceBpe(const GgufFile& file) {
  const std::string space = "\u2581";
  const Vocabulary vocabulary = ReadVocabulary(file);
  for (const char* key : {"tokenizer.ggml.precompiled_charsmap", "tokenizer.ggml.remove_extra_whitespaces"}) {
    const json& value = file.Get(key);
    if (!value.is_null() && value != false) Fail(file, key, "is not implemented");
  }
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {  // Gemma's runs of spaces
    const auto& content = vocabulary.tokens[id].get_ref<const std::string&>();
    if (vocabulary.types[id] == kUserDefined && content.find(space) != std::string::npos)
      Fail(file, "tokenizer.ggml.tokens", fmt::format("has the user-defined '{}', which is not implemented", content));
  }
  const bool prefix = file.Get("tokenizer.ggml.add_space_prefix") != false;
  ordered_json normalizers = ordered_json::array(),
               decoders = {{{"type", "Replace"}, {"pattern", {{"String", space}}}, {"content", " "}},
                           {{"type", "ByteFallback"}},
                           {{"type", "Fuse"}}};
  if (prefix) {
    normalizers.push_back({{"type", "Prepend"}, {"prepend", space}});
    decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  }
  normalizers.push_back({{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", space}});
  ordered_json model = {{"type", "BPE"}, {"fuse_unk", true}, {"byte_fallback", true}};
  if (const json& id = file.Get("tokenizer.ggml.unknown_token_id"); !id.is_null()) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() >= vocabulary.tokens.size())
      Fail(file, "tokenizer.ggml.unknown_token_id", "is not a token");
    model["unk_token"] = vocabulary.tokens[id.get<size_t>()];
  }
  model["vocab"] = vocabulary.ids;
  model["merges"] = MergesByScore(file, vocabulary);
  return {{"version", "1.0"},
          {"added_tokens", vocabulary.added},
          {"normalizer", {{"type", "Sequence"}, {"normalizers", normalizers}}},
          {"post_processor", PostProcessor(file, vocabulary.tokens, true)},
          {"decoder", {{"type", "Sequence"}, {"decoders", decoders}}},
          {"model", model}};
}

}  // namespace

ordered_json GgufTokenizer(const GgufFile& file) {
  const json& kind = file.Get("tokenizer.ggml.model");
  if (kind == "gpt2") return ByteLevelBpe(file);
  if (kind == "llama") return SentencePieceBpe(file);
  Fail(file, "tokenizer.ggml.model", fmt::format("is {}; \"gpt2\" and \"llama\" are implemented", kind.dump()));
}

}  // namespace hullft
