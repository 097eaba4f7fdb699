// The k best of many scored rows, fed in blocks: by falling score, then rising row. Thread safety: one thread at a
// time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace hullft::index {

struct RowHit {
  int64_t row = 0;
  float score = 0;
};

inline bool Better(const RowHit& a, const RowHit& b) {
  return a.score != b.score ? a.score > b.score : a.row < b.row;
}

// The largest of n >= 1 finite values.
float Largest(const float* values, size_t n);

class BestRows {
 public:
  explicit BestRows(size_t k) : k_(k) {}
  // Rows first, first + 1, ... with these scores.
  void Offer(const float* scores, size_t n, int64_t first);
  // The n rows with these scores, an int64_t each at any address: lists that FAISS maps lie at odd ones.
  void Offer(const float* scores, size_t n, std::span<const std::byte> rows);
  void Offer(RowHit hit);
  void Merge(const BestRows& other);
  // The hits in order; nothing may be offered after it.
  std::vector<RowHit> Take();

 private:
  template <class RowOf>
  void OfferAll(const float* scores, size_t n, const RowOf& row_of);
  void Keep(RowHit hit);
  void Cut();
  const size_t k_;
  float least_ = -std::numeric_limits<float>::infinity();  // what a hit needs at least to be among the k
  std::vector<RowHit> hits_;                               // at most 2 k + kSlack
};

}  // namespace hullft::index
