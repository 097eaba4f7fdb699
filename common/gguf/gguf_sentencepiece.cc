// SentencePiece's BPE: its merges are made of the pieces' scores, and characters without a piece become bytes.
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/gguf/gguf_vocabulary.h"

namespace hullft::gguf {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr const char* kSpace = "\u2581";

using Ids = std::unordered_map<std::string_view, size_t>;  // by piece

struct Merge {
  double score;
  size_t left_length, right_length;  // in characters
  Ids::const_iterator left, right;
};

constexpr size_t kLongestPiece = 512;  // every cut of a piece is looked at; SentencePiece's own are below 100

size_t Characters(std::string_view text) {
  return static_cast<size_t>(std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

// Every way to cut a piece into two others, by their ids.
std::vector<Merge> CutsOf(std::string_view piece, double score, const Ids& ids) {
  std::vector<Merge> cuts;
  for (size_t cut = 1; cut < piece.size(); ++cut) {
    if ((piece[cut] & 0xC0) == 0x80) continue;  // within a character
    const auto left = ids.find(piece.substr(0, cut)), right = ids.find(piece.substr(cut));
    if (left == ids.end() || right == ids.end()) continue;
    cuts.push_back({score, Characters(left->first), Characters(right->first), left, right});
  }
  std::ranges::sort(cuts, {}, [](const Merge& m) { return std::pair(m.left->second, m.right->second); });
  return cuts;
}

// SentencePiece joins the two neighbours whose union is the piece of the highest score. As merges: every way to cut a
// piece into two others, by the piece's score (transformers' generate_merges, with its order of equal ones). A
// user-defined piece's score is 0 in SentencePiece's own files, the highest; converters write others.
ordered_json MergesByScore(const GgufFile& file, const Vocabulary& vocabulary) {
  const json& scores = List(file, "tokenizer.ggml.scores", &json::is_number);
  if (scores.size() != vocabulary.tokens.size())
    Fail(file, "tokenizer.ggml.scores", "is not as long as tokenizer.ggml.tokens");
  Ids ids;
  ids.reserve(vocabulary.ids.size());
  for (const auto& [piece, id] : vocabulary.ids.items()) ids.emplace(piece, id.get<size_t>());
  std::vector<Merge> merges;
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const bool own = vocabulary.types[id] == kUserDefined;
    if (vocabulary.types[id] != kNormal && !own) continue;
    const auto& piece = vocabulary.tokens[id].get_ref<const std::string&>();
    if (piece.size() > kLongestPiece) Fail(file, "tokenizer.ggml.tokens", "has a piece of more than 512 bytes");
    std::vector<Merge> cuts = CutsOf(piece, own ? 0 : scores[id].get<double>(), ids);
    merges.insert(merges.end(), cuts.begin(), cuts.end());
  }
  std::ranges::stable_sort(merges, std::greater<>(),
                           [](const Merge& m) { return std::tuple(m.score, m.left_length, m.right_length); });
  ordered_json list = ordered_json::array();
  for (const Merge& merge : merges) list.push_back(ordered_json::array({merge.left->first, merge.right->first}));
  return list;
}

// Refuses what would change the ids and is not implemented. A run of spaces that is a token of its own is joined by the
// merges; a space put before every part of a text would stand in their way.
void RejectUnknown(const GgufFile& file, const Vocabulary& vocabulary, bool prefix) {
  for (const char* key : {"tokenizer.ggml.precompiled_charsmap", "tokenizer.ggml.remove_extra_whitespaces"}) {
    const json& value = file.Get(key);
    if (!value.is_null() && value != false) Fail(file, key, "is not implemented");
  }
  for (size_t id = 0; prefix && id < vocabulary.tokens.size(); ++id) {
    const auto& content = vocabulary.tokens[id].get_ref<const std::string&>();
    if (vocabulary.types[id] == kUserDefined && content.find(kSpace) != std::string::npos)
      Fail(
          file, "tokenizer.ggml.tokens",
          fmt::format("has the user-defined '{}', which is implemented only where add_space_prefix is false", content));
  }
}

// The first files of Gemma have no piece for a tab; it takes the place of its byte, so that runs of tabs are joined
// (transformers' GemmaConverter).
void PutTabForItsByte(const GgufFile& file, Vocabulary* vocabulary) {
  json& ids = vocabulary->ids;
  const json& architecture = file.Get("general.architecture");
  const bool gemma = architecture.is_string() && architecture.get_ref<const std::string&>().starts_with("gemma");
  if (gemma && !ids.contains("\t") && ids.contains("<0x09>")) {
    ids["\t"] = ids["<0x09>"];
    ids.erase("<0x09>");
  }
}

ordered_json Model(const GgufFile& file, const Vocabulary& vocabulary) {
  ordered_json model = {{"type", "BPE"}, {"fuse_unk", true}, {"byte_fallback", true}};
  if (const json& id = file.Get("tokenizer.ggml.unknown_token_id"); !id.is_null()) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() >= vocabulary.tokens.size())
      Fail(file, "tokenizer.ggml.unknown_token_id", "is not a token");
    model["unk_token"] = vocabulary.tokens[id.get<size_t>()];
  }
  model["vocab"] = vocabulary.ids;
  model["merges"] = MergesByScore(file, vocabulary);
  return model;
}

}  // namespace

// As the tokenizer.json of Llama 2 says it, or without the space before a text that of Gemma.
ordered_json SentencePieceBpe(const GgufFile& file) {
  const bool prefix = file.Get("tokenizer.ggml.add_space_prefix") != false;
  Vocabulary vocabulary = ReadVocabulary(file, !prefix);
  RejectUnknown(file, vocabulary, prefix);
  PutTabForItsByte(file, &vocabulary);
  ordered_json normalizers = ordered_json::array(),
               decoders = {{{"type", "Replace"}, {"pattern", {{"String", kSpace}}}, {"content", " "}},
                           {{"type", "ByteFallback"}},
                           {{"type", "Fuse"}}};
  if (prefix) {
    normalizers.push_back({{"type", "Prepend"}, {"prepend", kSpace}});
    decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  }
  normalizers.push_back({{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", kSpace}});
  return {{"version", "1.0"},
          {"added_tokens", vocabulary.added},
          {"normalizer", {{"type", "Sequence"}, {"normalizers", normalizers}}},
          {"post_processor", PostProcessor(file, vocabulary.tokens, true)},
          {"decoder", {{"type", "Sequence"}, {"decoders", decoders}}},
          {"model", Model(file, vocabulary)}};
}

}  // namespace hullft::gguf
