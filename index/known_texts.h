// The texts that a growing corpus already has: a new generation leaves them out, so that a text lives once in a corpus,
// under its first id, as it would had all been built at once. Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "index/corpus.h"

namespace hullft::index {

class KnownTexts {
 public:
  explicit KnownTexts(CorpusInfo corpus) : corpus_(std::move(corpus)) {}
  // Every text of the corpus that would live in partition `number` of `partitions`, with its hash. Reads all texts of
  // the partitions that can hold such: of one in P when the generations have P partitions each.
  void ForEach(int number, int partitions,
               const std::function<void(uint64_t hash, std::string_view text)>& visit) const;

 private:
  const CorpusInfo corpus_;
};

}  // namespace hullft::index
