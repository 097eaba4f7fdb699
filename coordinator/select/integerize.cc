#include "coordinator/select/integerize.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace hullft::select {
namespace {

// Weights as shares: negative ones 0, sum 1; uniform when nothing is left.
std::vector<double> Shares(std::span<const double> weights) {
  std::vector<double> shares(weights.begin(), weights.end());
  double sum = 0;
  for (double& share : shares) sum += share = std::max(share, 0.0);
  for (double& share : shares) share = sum > 0 ? share / sum : 1.0 / static_cast<double>(shares.size());
  return shares;
}

// Floors of n w. A sum of rounded products can pass n by one; the last ones then give back.
std::vector<int> Floors(const std::vector<double>& shares, int n) {
  std::vector<int> counts;
  counts.reserve(shares.size());
  int64_t left = n;
  for (const double share : shares) {
    counts.push_back(static_cast<int>(std::min<int64_t>(left, static_cast<int64_t>(std::floor(n * share)))));
    left -= counts.back();
  }
  return counts;
}

// N^2 L(c), up to a constant, under changes of c: kept times N^2 so that integer points are compared exactly.
class Search {
 public:
  Search(const SupportGeometry& geometry, std::vector<int> counts, int n)
      : geometry_(geometry), counts_(std::move(counts)), n_(n), m_(counts_.size()), gc_(m_, 0.0) {
    for (size_t i = 0; i < m_; ++i) {
      if (counts_[i] > 0) AddColumn(i, counts_[i]);
    }
  }

  // Change of N^2 L by one more copy of i.
  double AddCost(size_t i) const { return 2 * gc_[i] + G(i, i) - 2.0 * n_ * geometry_.tx[i]; }
  // Change of N^2 L by one copy moved from i to j.
  double SwapCost(size_t i, size_t j) const {
    return 2 * (gc_[j] - gc_[i]) + (G(i, i) - 2 * G(i, j) + G(j, j)) - 2.0 * n_ * (geometry_.tx[j] - geometry_.tx[i]);
  }

  void AddBest() {
    size_t best = 0;
    double best_cost = AddCost(0);
    for (size_t i = 1; i < m_; ++i) {
      const double cost = AddCost(i);
      if (cost < best_cost) best = i, best_cost = cost;
    }
    ++counts_[best];
    AddColumn(best, 1);
  }

  // One pass over all pairs; whether anything moved.
  bool SwapPass() {
    const double threshold = -kMinImprovement * n_ * n_;
    std::vector<size_t> holders;
    holders.reserve(m_);
    for (size_t i = 0; i < m_; ++i) {
      if (counts_[i] > 0) holders.push_back(i);
    }
    bool moved = false;
    for (const size_t i : holders) {
      for (size_t j = 0; j < m_ && counts_[i] > 0; ++j) {  // the guard that the authors' code lacks
        if (j == i || SwapCost(i, j) >= threshold) continue;
        --counts_[i], ++counts_[j];
        AddColumn(i, -1), AddColumn(j, 1);
        moved = true;
      }
    }
    return moved;
  }

  std::vector<int> Take() { return std::move(counts_); }

 private:
  double G(size_t i, size_t j) const { return geometry_.gram[i * m_ + j]; }
  void AddColumn(size_t i, double times) {
    for (size_t j = 0; j < m_; ++j) gc_[j] += times * G(i, j);
  }

  const SupportGeometry& geometry_;
  std::vector<int> counts_;
  const double n_;
  const size_t m_;
  std::vector<double> gc_;  // G c
};

}  // namespace

std::vector<int> IntegerizeByGeometry(const SupportGeometry& geometry, std::span<const double> weights, int n,
                                      int swap_passes) {
  std::vector<int> counts = Floors(Shares(weights), n);
  const int missing = n - std::accumulate(counts.begin(), counts.end(), 0);
  Search search(geometry, std::move(counts), n);
  for (int i = 0; i < missing; ++i) search.AddBest();
  for (int pass = 0; pass < swap_passes && search.SwapPass(); ++pass) {
  }
  return search.Take();
}

std::vector<int> IntegerizeByRemainder(std::span<const double> weights, int n) {
  const size_t m = weights.size();
  std::vector<int> counts(m, 0);
  if (m >= static_cast<size_t>(n)) {
    std::fill_n(counts.begin(), n, 1);
    return counts;
  }
  const std::vector<double> shares = Shares(weights);
  counts = Floors(shares, n);
  std::vector<size_t> order(m);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return n * shares[a] - std::floor(n * shares[a]) > n * shares[b] - std::floor(n * shares[b]);
  });
  const int missing = n - std::accumulate(counts.begin(), counts.end(), 0);
  for (int i = 0; i < missing; ++i) ++counts[order[i % m]];
  return counts;
}

double RoundedResidualSq(const SupportGeometry& geometry, std::span<const int> counts, int n) {
  const size_t m = counts.size();
  double cross = 0, square = 0;
  for (size_t i = 0; i < m; ++i) {
    cross += counts[i] * geometry.tx[i];
    double row = 0;
    for (size_t j = 0; j < m; ++j) row += counts[j] * geometry.gram[i * m + j];
    square += counts[i] * row;
  }
  const double size = n;
  return std::max(0.0, geometry.target_sq - 2 * cross / size + square / (size * size));
}

}  // namespace hullft::select
