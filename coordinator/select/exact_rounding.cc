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

// Pivots are at least this share of the longest squared length: where a point depends on those before it, its pivot is
// rounding of that size, and raising it changes no loss by more.
constexpr double kLeastPivot = 1e-15;

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
        best_(std::move(counts)) {
    Factorise();
    best_value_ = Value(best_);
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

  // R^T R = Z^T Z (row and column 0 stay empty) and offset = R^-T Z^T N y_0.
  void Factorise() {
    const double origin = Y(0, 0);
    double longest = geometry_.target_sq;
    for (size_t i = 0; i < m_; ++i) longest = std::max(longest, geometry_.gram[i * m_ + i]);
    const double least = longest > 0 ? kLeastPivot * longest : 1;
    for (size_t i = 1; i < m_; ++i) {
      for (size_t j = i; j < m_; ++j) {
        double rest = Y(i, j) - Y(i, 0) - Y(0, j) + origin;
        for (size_t l = 1; l < i; ++l) rest -= R(l, i) * R(l, j);
        if (j == i) {
          R(i, i) = std::sqrt(std::max(rest, least));
        } else {
          R(i, j) = rest / R(i, i);
        }
      }
      offset_[i] = n_ * (Y(i, 0) - origin);
      for (size_t l = 1; l < i; ++l) offset_[i] -= R(l, i) * offset_[l];
      offset_[i] /= R(i, i);
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
        best_ = trial_;
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
  std::vector<int> trial_, best_;
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
