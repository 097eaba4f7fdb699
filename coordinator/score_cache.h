// Untuned scores that outlive a run: the score of a query with the base weights is the same for every method, N and r
// of a sweep, so it is computed once. Format on disk: docs/formats/score_cache.md.
//
// Only rank 0 has one. Several runs may use one file at once: each line is appended under a lock, and carries a
// checksum; a line that a crash or a flipped bit has damaged is left out, and its score computed again. What other runs
// add is seen when the file is opened next. Thread safety: one thread per object.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "coordinator/messages.h"

namespace hullft::coordinator {

// Everything that decides the bits of a document's untuned score.
struct ScoreSetting {
  std::string binary;            // hash of the program
  std::string model, tokenizer;  // digests
  std::string arithmetic;        // worker::Tuner::arithmetic
  int window = 0, prefix_token = -1;
};

class ScoreCache {
 public:
  // Opens or makes the file. Throws kIo, and kData for a file that is something else.
  explicit ScoreCache(const std::string& path);
  ScoreCache(const ScoreCache&) = delete;
  ScoreCache& operator=(const ScoreCache&) = delete;
  ~ScoreCache();

  static std::string Key(const ScoreSetting& setting, std::string_view text_hash);
  std::optional<UntunedScore> Find(const std::string& key) const;
  // Nothing when the key is there already. Throws kIo; the file then holds at most one damaged line more.
  void Add(const std::string& key, const UntunedScore& score);

  int64_t size() const { return static_cast<int64_t>(scores_.size()); }
  int64_t damaged() const { return damaged_; }  // lines left out at opening

 private:
  void Read();
  void Append(std::string_view line);

  const std::string path_;
  int fd_ = -1;
  std::unordered_map<std::string, UntunedScore> scores_;
  int64_t damaged_ = 0;
};

}  // namespace hullft::coordinator
