// Byte pair encoding: a word's characters, joined pair by pair, the pair of the lowest rank first, the leftmost of
// equals.
#include <algorithm>
#include <optional>
#include <utility>

#include "common/error.h"
#include "common/tokenizer/merge_table.h"
#include "common/tokenizer/model.h"
#include "common/tokenizer/unicode.h"

namespace hullft::tokenizer {
namespace {

constexpr std::string_view kSpaceMark = "\u2581";  // SentencePiece's space

struct BpeSettings {
  MergeTable merges;
  int32_t unknown = -1;        // -1: characters without a token vanish
  std::string prefix, suffix;  // of a character that is not the word's first, of its last
  bool fuse_unknown = false, ignore_merges = false;
  std::vector<char32_t> joined_to_space;  // characters that some merge joins to kSpaceMark behind them, sorted
  std::vector<int32_t> byte_ids;          // 256 ids of <0x00>..<0xFF> (-1: absent), or empty without byte fallback
};

class Bpe : public Model {
 public:
  Bpe(Vocabulary vocabulary, BpeSettings settings) : Model(std::move(vocabulary)), settings_(std::move(settings)) {
    for (char32_t code = 0; code < kDirectCodes; ++code) {
      std::string content;
      AppendUtf8(code, &content);
      direct_ids_.push_back(this->vocabulary().Id(content));
    }
  }

  int64_t Encode(std::string_view word, std::vector<int32_t>* ids) const override {
    if (settings_.ignore_merges) {
      if (const int32_t id = vocabulary().Id(word); id >= 0) {
        ids->push_back(id);
        return 0;
      }
    }
    const size_t begin = ids->size();
    const int64_t dropped = Characters(word, ids);
    settings_.merges.MergeAll(ids, begin);
    return dropped;
  }

  // SentencePiece's words are whole texts. Their parts are cut before a space that no merge joins to what is before it;
  // a character without a token there might be pending, so it is no place to cut.
  size_t PartEnd(std::string_view word, size_t at) const override {
    if (settings_.ignore_merges || !settings_.prefix.empty() || !settings_.suffix.empty()) return word.size();
    for (size_t cut = at; (cut = word.find(kSpaceMark, cut)) != std::string_view::npos; cut += kSpaceMark.size()) {
      if (cut == at) continue;
      const Character before = DecodeLast(word.substr(at, cut - at));
      const bool is_joined =
          std::binary_search(settings_.joined_to_space.begin(), settings_.joined_to_space.end(), before.code);
      if (!is_joined && CharacterId(word, cut - before.bytes, before) >= 0 && space_mark_ >= 0) return cut;
    }
    return word.size();
  }

 private:
  static constexpr char32_t kDirectCodes = 0x180;  // covers the byte-level alphabet, which ends at U+0143

  int32_t CharacterId(std::string_view word, size_t at, Character c) const {
    const bool is_first = at == 0, is_last = at + c.bytes == word.size();
    const bool decorated = (!is_first && !settings_.prefix.empty()) || (is_last && !settings_.suffix.empty());
    if (!decorated && c.code < kDirectCodes) return direct_ids_[c.code];
    if (!decorated) return vocabulary().Id(word.substr(at, c.bytes));
    std::string content = is_first ? "" : settings_.prefix;
    content.append(word.substr(at, c.bytes));
    if (is_last) content += settings_.suffix;
    return vocabulary().Id(content);
  }

  // The ids before any merge. As in the reference, a pending unknown token is written only before the next known
  // character or at the end, so it comes after bytes that stand behind it. With a prefix or suffix the reference falls
  // back to the bytes of the decorated text; MakeBpe refuses that combination.
  int64_t Characters(std::string_view word, std::vector<int32_t>* ids) const {
    int64_t dropped = 0;
    bool pending_unknown = false;
    for (size_t at = 0; at < word.size();) {
      const Character c = DecodeAt(word, at);
      const int32_t id = CharacterId(word, at, c);
      if (id >= 0) {
        if (std::exchange(pending_unknown, false)) ids->push_back(settings_.unknown);
        ids->push_back(id);
      } else if (!AppendByteIds(word.substr(at, c.bytes), settings_.byte_ids, ids)) {
        if (settings_.unknown < 0) {
          ++dropped;
        } else {
          if (pending_unknown && !settings_.fuse_unknown) ids->push_back(settings_.unknown);
          pending_unknown = true;
        }
      }
      at += c.bytes;
    }
    if (pending_unknown) ids->push_back(settings_.unknown);
    return dropped;
  }

  const BpeSettings settings_;
  const int32_t space_mark_ = vocabulary().Id(kSpaceMark);
  std::vector<int32_t> direct_ids_;  // [kDirectCodes]
};

// The two parts of merges[i], which is "a b" or ["a", "b"].
std::pair<std::string, std::string> PartsOf(const nlohmann::json& merge, const Place& place) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string())
    return {merge[0].get<std::string>(), merge[1].get<std::string>()};
  if (merge.is_string()) {
    const auto& text = merge.get_ref<const std::string&>();
    const size_t space = text.find(' ');
    if (space != std::string::npos && text.find(' ', space + 1) == std::string::npos)
      return {text.substr(0, space), text.substr(space + 1)};
  }
  throw DataError("{}: {} must be \"a b\" or [\"a\", \"b\"] but is {}", place.file, place.field, merge.dump());
}

// joined_to_space: that of BpeSettings.
MergeTable ReadMerges(Fields& fields, const Vocabulary& vocabulary, const std::string& prefix,
                      std::vector<char32_t>* joined_to_space) {
  const nlohmann::json& list = fields.Array("merges");
  MergeTable merges(list.size());
  for (size_t rank = 0; rank < list.size(); ++rank) {
    const Place place = fields.place().Inside("merges").At(rank);
    const auto [left, right] = PartsOf(list[rank], place);
    const auto id_of = [&](const std::string& token) {
      const int32_t id = vocabulary.Id(token);
      if (id < 0)
        throw DataError("{}: {} needs the token '{}', which is not in the vocabulary", place.file, place.field, token);
      return id;
    };
    if (right.size() < prefix.size())
      throw DataError("{}: {} joins '{}', which lacks the continuing_subword_prefix", place.file, place.field, right);
    const int32_t joined = id_of(left + right.substr(prefix.size()));
    merges.Add(id_of(left), id_of(right), static_cast<int32_t>(rank), joined);
    if (right.starts_with(kSpaceMark) && !left.empty()) joined_to_space->push_back(DecodeLast(left).code);
  }
  std::sort(joined_to_space->begin(), joined_to_space->end());
  return merges;
}

}  // namespace

std::unique_ptr<Model> MakeBpe(Fields& fields) {
  Vocabulary vocabulary(fields.Object("vocab"), fields.place().Inside("vocab"));
  BpeSettings settings;
  fields.Ignore("dropout");
  if (fields.Has("dropout") && fields.Raw("dropout") != 0.0)
    FailUnimplemented(fields.place().Inside("dropout"), "is not 0: random merges are not implemented");
  settings.prefix = fields.OptionalString("continuing_subword_prefix").value_or("");
  settings.suffix = fields.OptionalString("end_of_word_suffix").value_or("");
  if (const auto token = fields.OptionalString("unk_token")) {
    settings.unknown = vocabulary.Id(*token);
    if (settings.unknown < 0) fields.Fail("unk_token", "is '" + *token + "', which is not in the vocabulary");
  }
  settings.fuse_unknown = fields.Bool("fuse_unk", false);
  settings.ignore_merges = fields.Bool("ignore_merges", false);
  if (fields.Bool("byte_fallback", false)) {
    if (!settings.prefix.empty() || !settings.suffix.empty())
      FailUnimplemented(fields.place().Inside("byte_fallback"),
                        "together with a subword prefix or suffix is not implemented");
    settings.byte_ids = ByteFallbackIds(vocabulary);
  }
  settings.merges = ReadMerges(fields, vocabulary, settings.prefix, &settings.joined_to_space);
  return std::make_unique<Bpe>(std::move(vocabulary), std::move(settings));
}

}  // namespace hullft::tokenizer
