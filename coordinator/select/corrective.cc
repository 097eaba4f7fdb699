// Fully corrective Frank-Wolfe: after each new point the weights are the best ones of the whole support. This is
// Wolfe's algorithm for the point of a polytope nearest to the origin ("Finding the nearest point in a polytope",
// Mathematical Programming 11, 1976), with the points y_i = x_i - t.
//
// The best affine weights of a support solve (Y Y^T + s 1 1^T) u = 1, w = u / sum u, for any s > 0; the matrix is
// positive definite as long as the points are affinely independent. It is kept as R^T R with R upper triangular: a
// point that enters appends a column, one that leaves is rotated out, O(m^2) each.
#include <algorithm>
#include <cmath>

#include "common/error.h"
#include "coordinator/select/kernels.h"
#include "coordinator/select/pool_point.h"

namespace hullft::select {
namespace {

// As in active_set.cc: gaps below this share of the squared lengths are rounding.
constexpr double kGapFloor = 1e-14;
// A point whose squared distance from the support's affine hull is below this share of its squared length counts as
// lying in it.
constexpr double kDependent = 1e-13;
// Weights up to this are 0.
constexpr double kNoWeight = 1e-13;

// R of R^T R; columns one after another, `stride` values each. Memory is the caller's.
class Factor {
 public:
  Factor(double* values, size_t stride) : values_(values), stride_(stride) {}
  size_t size() const { return size_; }

  // Adds a row and column to the matrix: `products` with the rows before (overwritten with R^-T products), `square`
  // with itself. False, and nothing is added, when the new point depends on the others or there is no room.
  bool Append(double* products, double square) {
    SolveLower(products);
    const double rest = square - Dot(products, products, size_);
    if (size_ == stride_ || !(rest > kDependent * square)) return false;
    double* column = values_ + size_ * stride_;
    std::copy_n(products, size_, column);
    column[size_++] = std::sqrt(rest);
    return true;
  }

  void Remove(size_t place) {
    for (size_t j = place + 1; j < size_; ++j) std::copy_n(values_ + j * stride_, j + 1, values_ + (j - 1) * stride_);
    --size_;
    for (size_t j = place; j < size_; ++j) {  // the entry below the diagonal of each column that moved
      double* column = values_ + j * stride_;
      const double length = std::hypot(column[j], column[j + 1]);
      const double cosine = column[j] / length, sine = column[j + 1] / length;
      column[j] = length;
      for (size_t l = j + 1; l < size_; ++l) {
        double* other = values_ + l * stride_;
        const double upper = other[j], lower = other[j + 1];
        other[j] = cosine * upper + sine * lower;
        other[j + 1] = cosine * lower - sine * upper;
      }
    }
  }

  // Overwrites `right` with the solution of R^T R u = right.
  void Solve(double* right) const {
    SolveLower(right);
    FinishSolve(right);
  }
  // Its second half, of R u = right.
  void FinishSolve(double* right) const {
    for (size_t i = size_; i-- > 0;) {
      const double* column = values_ + i * stride_;
      right[i] /= column[i];
      BestKernels().blend(1, -right[i], column, static_cast<int>(i), right);
    }
  }

 private:
  static double Dot(const double* a, const double* b, size_t n) { return BestKernels().dot(a, b, static_cast<int>(n)); }
  void SolveLower(double* right) const {
    for (size_t i = 0; i < size_; ++i) {
      const double* column = values_ + i * stride_;
      right[i] = (right[i] - Dot(column, right, i)) / column[i];
    }
  }

  double* const values_;
  const size_t stride_;
  size_t size_ = 0;
};

class CorrectiveRun {
 public:
  CorrectiveRun(const FrankWolfeProblem& problem, const FrankWolfeOptions& options, Workspace* workspace)
      : options_(options),
        own_(workspace == nullptr ? std::make_unique<Workspace>() : nullptr),
        workspace_(workspace == nullptr ? *own_ : *workspace),
        most_(static_cast<size_t>(std::min<int64_t>(MostPoints(problem, options), int64_t{problem.d} + 2))),
        point_(problem, MostPoints(problem, options), &workspace_),
        factor_(Memory(), most_) {
    support_.reserve(most_ + 1);
    weights_.reserve(most_ + 1);
    Begin();
  }

  FrankWolfeResult Run() {
    Iterate(options_.max_iter, &result_, [this] { return Update(); });
    point_.Finish(support_, weights_, options_, &result_);
    return std::move(result_);
  }

 private:
  double* Memory() {
    if (workspace_.factor.size() < most_ * most_) workspace_.factor.resize(most_ * most_);
    if (workspace_.scratch.size() < most_) workspace_.scratch.resize(most_);
    return workspace_.factor.data();
  }

  // The points of a warm start enter one by one; those that depend on the others stay out.
  void Begin() {
    std::vector<int64_t> support;
    std::vector<double> weights;
    point_.Start(&support, &weights);
    shift_ = std::max(point_.target_sq(), point_.Column(static_cast<int>(support[0]))[support[0]]);
    if (!(shift_ > 0)) shift_ = 1;
    double sum = 0;
    for (size_t i = 0; i < support.size(); ++i) {
      if (Enter(static_cast<int>(support[i]), weights[i])) {
        sum += weights[i];
      } else {
        point_.Release(static_cast<int>(support[i]));
      }
    }
    for (double& weight : weights_) weight /= sum;
    if (support_.size() > 1) Correct();
    point_.Set(support_, weights_);
  }

  bool Enter(int row, double weight) {
    const double* column = point_.Column(row);
    const double offset = shift_ + point_.target_sq() - point_.tx(row);
    double* products = workspace_.scratch.data();
    for (size_t i = 0; i < support_.size(); ++i) {
      products[i] = column[support_[i]] - point_.tx(static_cast<int>(support_[i])) + offset;
    }
    if (!factor_.Append(products, column[row] - point_.tx(row) + offset)) return false;
    support_.push_back(row);
    weights_.push_back(weight);
    return true;
  }

  void Leave(size_t place) {
    factor_.Remove(place);
    point_.Release(static_cast<int>(support_[place]));
    support_.erase(support_.begin() + static_cast<int64_t>(place));
    weights_.erase(weights_.begin() + static_cast<int64_t>(place));
  }

  // For a row that depends on the support, x = sum mu_i x_i but for rounding: it takes over as much weight as one of
  // them can give, which leaves. To be called after Enter has refused the row.
  void Replace(int row) {
    double* shares = workspace_.scratch.data();
    factor_.FinishSolve(shares);
    double weight = INFINITY;
    size_t leaving = support_.size();
    for (size_t i = 0; i < support_.size(); ++i) {
      if (shares[i] > kNoWeight && weights_[i] / shares[i] < weight) weight = weights_[i] / shares[i], leaving = i;
    }
    if (leaving == support_.size()) return;
    for (size_t i = 0; i < support_.size(); ++i) weights_[i] = std::max(0.0, weights_[i] - weight * shares[i]);
    Leave(leaving);
    Enter(row, weight);
  }

  // Wolfe's minor cycles: towards the best affine weights, as far as none becomes negative; points without weight
  // leave.
  void Correct() {
    double* best = workspace_.scratch.data();
    for (;;) {
      const size_t m = support_.size();
      std::fill_n(best, m, 1.0);
      factor_.Solve(best);
      double sum = 0;
      for (size_t i = 0; i < m; ++i) sum += best[i];
      double share = 1;
      size_t blocking = m;
      for (size_t i = 0; i < m; ++i) {
        best[i] /= sum;
        if (best[i] > kNoWeight) continue;
        const double until = weights_[i] / std::max(weights_[i] - best[i], kNoWeight);
        if (until < share || blocking == m) share = std::clamp(until, 0.0, 1.0), blocking = i;
      }
      for (size_t i = 0; i < m; ++i) weights_[i] += share * (best[i] - weights_[i]);
      if (blocking == m || m == 1) return Normalise();
      weights_[blocking] = 0;
      for (size_t i = m; i-- > 0;) {
        if (weights_[i] <= kNoWeight && support_.size() > 1) Leave(i);
      }
    }
  }

  // One point more and the correction, or the reason why there is none (or no further one).
  const char* Update() {
    const auto [tc, cc] = point_.Products(support_, weights_);
    const double residual_sq = std::max(0.0, point_.target_sq() - 2 * tc + cc);
    if (std::sqrt(residual_sq) < options_.tol) return "tol";
    const int best = point_.Oracle();
    const double floor = kGapFloor * std::max(point_.target_sq(), cc);
    const double gap = point_.Score(best) - (tc - cc);
    if (gap <= std::max(options_.gap_tol, floor)) return "gap";
    if (std::find(support_.begin(), support_.end(), best) != support_.end()) return "denom";
    if (options_.trace) {
      result_.objectives.push_back(0.5 * residual_sq);
      result_.gaps.push_back(gap);
      result_.path.push_back(best);
    }
    if (!Enter(best, 0)) Replace(best);
    Correct();
    point_.Set(support_, weights_);
    ++result_.iterations;
    if (std::find(support_.begin(), support_.end(), best) == support_.end()) return "denom";
    return static_cast<int>(support_.size()) >= options_.SupportLimit() ? "support" : nullptr;
  }

  void Normalise() {
    double sum = 0;
    for (const double weight : weights_) sum += weight;
    for (double& weight : weights_) weight /= sum;
  }

  const FrankWolfeOptions& options_;
  std::unique_ptr<Workspace> own_;
  Workspace& workspace_;
  const size_t most_;
  PoolPoint point_;
  Factor factor_;
  double shift_ = 1;
  std::vector<int64_t> support_;
  std::vector<double> weights_;
  FrankWolfeResult result_;
};

}  // namespace

FrankWolfeResult RunCorrective(const FrankWolfeProblem& problem, const FrankWolfeOptions& options,
                               Workspace* workspace) {
  return CorrectiveRun(problem, options, workspace).Run();
}

}  // namespace hullft::select
