#include "index/best_rows.h"

#include <algorithm>
#include <cstring>

#include "common/simd.h"

namespace hullft::index {
namespace {

constexpr size_t kSlack = 64;  // hits between two cuts, so that a small k is not cut all the time

// A pointer to the function would be called for every comparison.
constexpr auto kBetter = [](const RowHit& a, const RowHit& b) { return Better(a, b); };

}  // namespace

// Lanes, so that the compiler can use the machine's maximum instruction.
HULLFT_CLONES float Largest(const float* values, size_t n) {
  constexpr size_t kLanes = 16;
  float lane[kLanes];
  for (float& x : lane) x = -std::numeric_limits<float>::infinity();
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (size_t l = 0; l < kLanes; ++l) lane[l] = values[i + l] > lane[l] ? values[i + l] : lane[l];
  }
  for (; i < n; ++i) lane[0] = values[i] > lane[0] ? values[i] : lane[0];
  float largest = lane[0];
  for (const float x : lane) largest = std::max(largest, x);
  return largest;
}

void BestRows::Keep(RowHit hit) {
  hits_.push_back(hit);
  if (hits_.size() >= 2 * k_ + kSlack) Cut();
}

void BestRows::Cut() {
  if (hits_.size() <= k_) return;
  std::nth_element(hits_.begin(), hits_.begin() + static_cast<int64_t>(k_) - 1, hits_.end(), kBetter);
  hits_.resize(k_);
  least_ = hits_.back().score;
}

void BestRows::Offer(RowHit hit) {
  if (k_ > 0 && hit.score >= least_) Keep(hit);
}

template <class RowOf>
void BestRows::OfferAll(const float* scores, size_t n, const RowOf& row_of) {
  constexpr size_t kPiece = 256;
  if (k_ == 0) return;
  for (size_t begin = 0; begin < n; begin += kPiece) {
    const size_t end = std::min(begin + kPiece, n);
    if (Largest(scores + begin, end - begin) < least_) continue;
    for (size_t i = begin; i < end; ++i) {
      if (scores[i] >= least_) Keep({row_of(i), scores[i]});
    }
  }
}

void BestRows::Offer(const float* scores, size_t n, int64_t first) {
  OfferAll(scores, n, [first](size_t i) { return first + static_cast<int64_t>(i); });
}

void BestRows::Offer(const float* scores, size_t n, std::span<const std::byte> rows) {
  OfferAll(scores, n, [rows](size_t i) {
    int64_t row = 0;
    std::memcpy(&row, rows.data() + i * sizeof row, sizeof row);
    return row;
  });
}

void BestRows::Merge(const BestRows& other) {
  for (const RowHit& hit : other.hits_) Offer(hit);
}

std::vector<RowHit> BestRows::Take() {
  Cut();
  std::sort(hits_.begin(), hits_.end(), kBetter);
  return std::move(hits_);
}

}  // namespace hullft::index
