// From weights to counts: N copies spread over the support so that their mean stays near the target (HullFT, arXiv
// 2605.30337, geometric integerization; docs/method.md), and largest-remainder padding, its ablation.
//
// Letters: m support size, N multiset size. Thread safety: free functions, reentrant.
#pragma once

#include <span>
#include <vector>

namespace hullft::select {

// The geometry of the support: all that L(c) = ||t - (1/N) sum c_i x_i||^2 needs.
struct SupportGeometry {
  std::span<const double> gram;  // m x m, row-major
  std::span<const double> tx;    // m: <t, x_i>
  double target_sq = 0;
};

// A swap must lower L by more than this (the authors' threshold).
inline constexpr double kMinImprovement = 1e-14;

// counts >= 0 with sum n, aligned with weights (m >= 1): floor of n w, then the best +1 until the sum is n, then up to
// swap_passes passes of best-improvement-at-once swaps. O(1) per evaluation, O(m) per change.
std::vector<int> IntegerizeByGeometry(const SupportGeometry& geometry, std::span<const double> weights, int n,
                                      int swap_passes);

// counts >= 0 with sum n: floor of n w, the rest to the largest remainders (first on ties); one each where m >= n.
std::vector<int> IntegerizeByRemainder(std::span<const double> weights, int n);

// L(c) by expansion.
double RoundedResidualSq(const SupportGeometry& geometry, std::span<const int> counts, int n);

}  // namespace hullft::select
