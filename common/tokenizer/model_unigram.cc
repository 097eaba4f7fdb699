// Unigram (Kudo, arXiv 1804.10959), as SentencePiece and its relatives have it: of all ways to write a word as tokens
// the one of the largest sum of scores.
#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <utility>

#include "common/error.h"
#include "common/tokenizer/byte_trie.h"
#include "common/tokenizer/model.h"
#include "common/tokenizer/unicode.h"

namespace hullft::tokenizer {
namespace {

constexpr double kUnknownPenalty = 10;  // the reference's: an unknown character scores this much below the worst token

struct ScoredTokens {
  std::vector<std::string> contents;  // by id
  std::vector<double> scores;
};

class Unigram : public Model {
 public:
  // unknown: -1: there is none. byte_ids: as ByteFallbackIds gives them, or empty.
  Unigram(const ScoredTokens& tokens, int32_t unknown, std::vector<int32_t> byte_ids, const Place& place)
      : Model(Vocabulary(tokens.contents, place)),
        scores_(tokens.scores),
        unknown_(unknown),
        byte_ids_(std::move(byte_ids)),
        unknown_score_(*std::min_element(scores_.begin(), scores_.end()) - kUnknownPenalty),
        trie_(Entries(tokens.contents)),
        place_(place) {}

  int64_t Encode(std::string_view word, std::vector<int32_t>* ids) const override {
    const std::vector<Step> steps = BestPath(word);
    std::vector<std::pair<size_t, size_t>> parts;  // from the back; unknown tokens side by side are one part
    bool in_unknown = false;
    for (size_t end = word.size(); end > 0; end = steps[end].begin) {
      const bool is_unknown = unknown_ >= 0 && steps[end].id == unknown_;
      if (is_unknown && in_unknown) {
        parts.back().first = steps[end].begin;
      } else {
        parts.emplace_back(steps[end].begin, end);
      }
      in_unknown = is_unknown;
    }
    for (auto part = parts.rbegin(); part != parts.rend(); ++part)
      AppendIds(word.substr(part->first, part->second - part->first), ids);
    return 0;
  }

 private:
  static std::vector<std::pair<std::string_view, int32_t>> Entries(const std::vector<std::string>& contents) {
    std::vector<std::pair<std::string_view, int32_t>> entries;
    for (size_t id = 0; id < contents.size(); ++id) {
      if (!contents[id].empty()) entries.emplace_back(contents[id], static_cast<int32_t>(id));
    }
    return entries;
  }

  // The last token of the best way to write the bytes up to here.
  struct Step {
    double score = 0;
    size_t begin = kNone;
    int32_t id = -1;
    static constexpr size_t kNone = ~size_t{0};
    void Offer(double offered, size_t from, int32_t token) {  // of equals the first counts
      if (begin == kNone || offered > score) *this = {offered, from, token};
    }
  };

  // steps[i] ends at byte i of the word; those inside of a character that no token ends at are never reached.
  std::vector<Step> BestPath(std::string_view word) const {
    std::vector<Step> steps(word.size() + 1);
    for (size_t at = 0; at < word.size();) {
      const size_t character = DecodeAt(word, at).bytes;
      bool has_token = false;  // of this character alone
      const double score = steps[at].score;
      trie_.ForEachPrefix(word.substr(at), [&](size_t length, int32_t id) {
        steps[at + length].Offer(score + scores_[static_cast<size_t>(id)], at, id);
        has_token |= length == character;
      });
      if (!has_token) {
        if (unknown_ < 0)
          throw DataError("{}: {} has no token for '{}' and no unk_id", place_.file, place_.field,
                          word.substr(at, character));
        steps[at + character].Offer(score + unknown_score_, at, unknown_);
      }
      at += character;
    }
    return steps;
  }

  void AppendIds(std::string_view part, std::vector<int32_t>* ids) const {
    if (const int32_t id = vocabulary().Id(part); id >= 0) {
      ids->push_back(id);
    } else if (!AppendByteIds(part, byte_ids_, ids)) {
      ids->push_back(unknown_);
    }
  }

  const std::vector<double> scores_;
  const int32_t unknown_;
  const std::vector<int32_t> byte_ids_;
  const double unknown_score_;
  const ByteTrie trie_;
  const Place place_;
};

// "vocab": [["content", score], ...]; the place in the list is the id.
ScoredTokens ReadScoredTokens(Fields& fields) {
  const nlohmann::json& list = fields.Array("vocab");
  if (list.empty()) fields.Fail("vocab", "is empty");
  ScoredTokens tokens;
  for (size_t id = 0; id < list.size(); ++id) {
    const nlohmann::json& entry = list[id];
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number() ||
        !std::isfinite(entry[1].get<double>())) {
      const Place place = fields.place().Inside("vocab").At(id);
      throw DataError("{}: {} must be [\"content\", score] but is {}", place.file, place.field, entry.dump());
    }
    tokens.contents.push_back(entry[0].get<std::string>());
    tokens.scores.push_back(entry[1].get<double>());
  }
  return tokens;
}

}  // namespace

std::unique_ptr<Model> MakeUnigram(Fields& fields) {
  const ScoredTokens tokens = ReadScoredTokens(fields);
  const int64_t unknown = fields.Has("unk_id") ? fields.Integer("unk_id") : -1;
  fields.Ignore("unk_id");
  if (unknown < -1 || unknown >= static_cast<int64_t>(tokens.contents.size()))
    fields.Fail("unk_id", "is not the id of a token");
  const Place place = fields.place().Inside("vocab");
  std::vector<int32_t> byte_ids;
  if (fields.Bool("byte_fallback", false)) byte_ids = ByteFallbackIds(Vocabulary(tokens.contents, place));
  return std::make_unique<Unigram>(tokens, static_cast<int32_t>(unknown), std::move(byte_ids), place);
}

}  // namespace hullft::tokenizer
