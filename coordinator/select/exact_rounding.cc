// With y_i = x_i - t and c_0 = N - sum of the others, N^2 L(c) = ||N y_0 + sum_{i>0} c_i z_i||^2, z_i = y_i - y_0: the
// point of a lattice nearest to another point, under c >= 0. The search is Schnorr and Euchner's (Mathematical
// Programming 66, 1994): with R^T R = Z^T Z the squared distance is, up to a constant, a sum over i of
// (R_ii c_i + offset_i)^2, where offset_i depends on c_j, j > i; counts are fixed from the last one down, the least
// term first, and a partial sum that reaches the best distance known ends its branch.
#include "coordinator/select/exact_rounding.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace hullft::select {
namespace {

// Shares of the longest squared length. A point whose pivot is below kSmallPivot waits for the others, so that rounding
// does not grow; what is left at kLeastPivot is rounding, and setting it there changes no loss by more.
constexpr double kSmallPivot = 1e-3;
constexpr double kLeastPivot = 1e-14;

class Search {
 public:
  Search(const SupportGeometry& geometry, std::vector<int> counts, int n, int64_t max_nodes)
      : geometry_(geometry),
        n_(n),
        m_(counts.size()),
        nodes_left_(max_nodes),
        factor_(m_ * m_, 0.0),
        offset_(m_, 0.0),
        trial_(m_, 0),
        order_(m_),
        best_(std::move(counts)) {
    Factorise();
    for (size_t i = 0; i < m_; ++i) trial_[i] = best_[order_[i]];
    best_value_ = Value(trial_);
    std::fill(trial_.begin(), trial_.end(), 0);
  }

  bool Run() {
    if (m_ > 1) Descend(m_ - 1, 0, n_);
    return nodes_left_ >= 0;
  }
  std::vector<int> Take() { return std::move(best_); }

 private:
  double Y(size_t i, size_t j) const {
    return geometry_.gram[i * m_ + j] - geometry_.tx[i] - geometry_.tx[j] + geometry_.target_sq;
  }
  double& R(size_t i, size_t j) { return factor_[i * m_ + j]; }
  double R(size_t i, size_t j) const { return factor_[i * m_ + j]; }

  // The next of the points that are left: the first with a pivot that is not small, else the one with the largest.
  size_t NextPivot(const std::vector<double>& rest, size_t step, double small) const {
    size_t largest = step;
    for (size_t i = step; i < m_; ++i) {
      const double pivot = rest[order_[i] * m_ + order_[i]];
      if (pivot >= small) return i;
      if (pivot > rest[order_[largest] * m_ + order_[largest]]) largest = i;
    }
    return largest;
  }

  // R^T R = Z^T Z (row and column 0 stay empty) and offset = R^-T Z^T N y_0, of the points in the order of order_.
  void Factorise() {
    std::iota(order_.begin(), order_.end(), size_t{0});
    const double origin = Y(0, 0);
    double longest = geometry_.target_sq;
    for (size_t i = 0; i < m_; ++i) longest = std::max(longest, geometry_.gram[i * m_ + i]);
    const double least = longest > 0 ? kLeastPivot * longest : 1;
    std::vector<double> rest(m_ * m_, 0.0), right(m_, 0.0);  // Z^T Z and Z^T N y_0 less what the rows so far explain
    for (size_t i = 1; i < m_; ++i) {
      for (size_t j = 1; j < m_; ++j) rest[i * m_ + j] = Y(i, j) - Y(i, 0) - Y(0, j) + origin;
      right[i] = n_ * (Y(i, 0) - origin);
    }
    for (size_t step = 1; step < m_; ++step) {
      const size_t next = NextPivot(rest, step, kSmallPivot * longest);
      std::swap(order_[step], order_[next]);
      for (size_t row = 1; row < step; ++row) std::swap(R(row, step), R(row, next));
      const size_t p = order_[step];
      const double pivot = rest[p * m_ + p];
      R(step, step) = std::sqrt(std::max(pivot, least));
      offset_[step] = right[p] / R(step, step);
      if (pivot <= least) continue;  // products with the others are rounding as well; that with y_0 need not be
      for (size_t j = step + 1; j < m_; ++j) R(step, j) = rest[p * m_ + order_[j]] / R(step, step);
      for (size_t i = step + 1; i < m_; ++i) {
        right[order_[i]] -= R(step, i) * offset_[step];
        for (size_t j = step + 1; j < m_; ++j) rest[order_[i] * m_ + order_[j]] -= R(step, i) * R(step, j);
      }
    }
  }

  // The part of N^2 L that depends on the counts.
  double Value(const std::vector<int>& counts) const {
    double value = 0;
    for (size_t i = 1; i < m_; ++i) {
      const double term = R(i, i) * counts[i] + Offset(i, counts);
      value += term * term;
    }
    return value;
  }
  // What the counts after i make of term i.
  double Offset(size_t i, const std::vector<int>& counts) const {
    double offset = offset_[i];
    for (size_t j = i + 1; j < m_; ++j) offset += R(i, j) * counts[j];
    return offset;
  }

  // Tries all counts of i, ..., 1 with sum at most `left`, given those after i and their part of the distance.
  void Descend(size_t i, double value, int left) {
    const double scale = R(i, i), offset = Offset(i, trial_), centre = -offset / scale;
    const int nearest = static_cast<int>(std::lround(std::clamp(centre, 0.0, static_cast<double>(left))));
    // Outwards from the nearest count, in the order of the distance: every later one is as bad or worse.
    int below = nearest, above = nearest + 1;
    while (below >= 0 || above <= left) {
      const bool down = above > left || (below >= 0 && std::abs(below - centre) <= std::abs(above - centre));
      trial_[i] = down ? below-- : above++;
      const double term = scale * trial_[i] + offset, total = value + term * term;
      if (total >= best_value_ - kExactTolerance * n_ * static_cast<double>(n_)) break;
      if (--nodes_left_ < 0) break;
      if (i > 1) {
        Descend(i - 1, total, left - trial_[i]);
      } else {
        for (size_t j = 1; j < m_; ++j) best_[order_[j]] = trial_[j];
        best_[0] = left - trial_[1];
        best_value_ = total;
      }
    }
    trial_[i] = 0;
  }

  const SupportGeometry& geometry_;
  const int n_;
  const size_t m_;
  int64_t nodes_left_;
  std::vector<double> factor_, offset_;
  std::vector<int> trial_;     // in the order of order_
  std::vector<size_t> order_;  // support points by level; 0 is the first
  std::vector<int> best_;      // aligned with the support
  double best_value_ = 0;
};

}  // namespace

std::optional<std::vector<int>> IntegerizeExactly(const SupportGeometry& geometry, std::vector<int> counts, int n,
                                                  int64_t max_nodes) {
  Search search(geometry, std::move(counts), n, max_nodes);
  if (!search.Run()) return std::nullopt;
  return search.Take();
}

}  // namespace hullft::select
