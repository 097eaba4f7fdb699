// The digest of a set of sequences: equal for equal content, whatever the order, the partitions or the ranks it was
// built with. Sum modulo 2^128 of each sequence's XXH3-128 over its framed fields (id, text, metadata, tokens,
// embedding).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "index/corpus.h"

namespace hullft::index {

struct SequenceView {
  SequenceId id;
  std::string_view text, metadata;
  std::span<const int32_t> tokens;
  std::span<const float> embedding;
};

class ContentDigest {
 public:
  void Add(const SequenceView& sequence);
  void Add(const ContentDigest& other);
  // 32 lower-case hexadecimal digits, and back. FromHex throws kData for anything else.
  std::string Hex() const;
  static ContentDigest FromHex(std::string_view hex);

 private:
  uint64_t high_ = 0, low_ = 0;
};

// The digest of a whole corpus: its content and what made its tokens and embeddings.
std::string CorpusDigest(const ContentDigest& content, const CorpusInfo& info);

}  // namespace hullft::index
