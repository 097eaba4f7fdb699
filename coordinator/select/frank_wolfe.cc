#include "coordinator/select/frank_wolfe.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "coordinator/select/kernels.h"

namespace hullft::select {

FrankWolfeState::FrankWolfeState(double target_sq, int64_t first, double tx, double xx)
    : target_sq_(target_sq), tc_(tx), cc_(xx), support_{first}, weights_{1.0} {}

bool FrankWolfeState::ResidualCancelled() const {
  return ResidualSq() < kCancelled * std::max(target_sq_, cc_);
}

Direction FrankWolfeState::Towards(double tx, double xx, double xc) const {
  return {xx - 2 * xc + cc_, (tx - xc) - (tc_ - cc_)};
}

bool FrankWolfeState::Cancelled(const Direction& direction, double xx) const {
  return direction.length_sq < kCancelled * std::max(xx, cc_);
}

void FrankWolfeState::Step(int64_t point, double gamma, double tx, double xx, double xc) {
  const double keep = 1 - gamma;
  for (double& weight : weights_) weight *= keep;
  const auto found = std::find(support_.begin(), support_.end(), point);
  if (found == support_.end()) {
    support_.push_back(point);
    weights_.push_back(gamma);
  } else {
    weights_[found - support_.begin()] += gamma;
  }
  tc_ = keep * tc_ + gamma * tx;
  cc_ = keep * keep * cc_ + 2 * gamma * keep * xc + gamma * gamma * xx;
}

double LineSearch(const Direction& direction) {
  return std::clamp(direction.descent / direction.length_sq, 0.0, 1.0);
}

std::vector<int> OrderByWeight(std::span<const double> weights, std::span<const int64_t> points, int n) {
  std::vector<int> order(weights.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](int a, int b) { return weights[a] != weights[b] ? weights[a] > weights[b] : points[a] < points[b]; });
  order.resize(std::min<size_t>(order.size(), n));
  return order;
}

namespace {

// One run: the pool, the Gram columns of the support, and xc = X c, which the oracle reads.
class PoolRun {
 public:
  PoolRun(std::span<const float> rows, std::span<const double> target, std::span<const double> tx, int k, int d)
      : rows_(rows), target_(target), tx_(tx), k_(k), d_(d), slot_(k, -1) {}

  FrankWolfeResult Run(const FrankWolfeOptions& options) {
    const int first = static_cast<int>(std::max_element(tx_.begin(), tx_.end()) - tx_.begin());
    const std::vector<double>& column = Column(first);
    xc_ = column;
    const double target_sq = BestKernels().dot(target_.data(), target_.data(), d_);
    FrankWolfeState state(target_sq, first, tx_[first], column[first]);
    result_.stop = "max_iter";
    while (result_.iterations < options.max_iter) {
      if (const char* stop = Update(&state, options)) {
        result_.stop = stop;
        break;
      }
    }
    Finish(state, options);
    return std::move(result_);
  }

 private:
  // <x_i, x_row> for every i, computed when the row is first met.
  const std::vector<double>& Column(int row) {
    if (slot_[row] < 0) {
      slot_[row] = static_cast<int>(columns_.size());
      const float* x = rows_.data() + static_cast<size_t>(row) * d_;
      const std::vector<double> wide(x, x + d_);
      columns_.emplace_back(k_);
      BestKernels().row_dots(rows_.data(), k_, d_, wide.data(), columns_.back().data());
    }
    return columns_[slot_[row]];
  }

  // rho = t - sum w_i x_i from the vectors; O(m d).
  std::vector<double> Residual(const FrankWolfeState& state) const {
    std::vector<double> point(d_, 0.0);
    for (size_t i = 0; i < state.support().size(); ++i) {
      const double weight = state.weights()[i];
      const float* x = rows_.data() + state.support()[i] * d_;
      for (int j = 0; j < d_; ++j) point[j] += weight * x[j];
    }
    for (int j = 0; j < d_; ++j) point[j] = target_[j] - point[j];
    return point;
  }

  // The first row with the largest <x_i, rho>.
  int Oracle() const {
    int best = 0;
    double best_value = tx_[0] - xc_[0];
    for (int i = 1; i < k_; ++i) {
      const double value = tx_[i] - xc_[i];
      if (value > best_value) best = i, best_value = value;
    }
    return best;
  }

  Direction DirectionFromVectors(const std::vector<double>& rho, int row) const {
    const float* x = rows_.data() + static_cast<size_t>(row) * d_;
    std::vector<double> step(d_);
    for (int j = 0; j < d_; ++j) step[j] = x[j] - (target_[j] - rho[j]);
    return {BestKernels().dot(step.data(), step.data(), d_), BestKernels().dot(rho.data(), step.data(), d_)};
  }

  // One update, or the reason why there is none (or no further one).
  const char* Update(FrankWolfeState* state, const FrankWolfeOptions& options) {
    double residual_sq = state->ResidualSq();
    std::vector<double> rho;
    if (state->ResidualCancelled()) {
      rho = Residual(*state);
      residual_sq = BestKernels().dot(rho.data(), rho.data(), d_);
    }
    if (std::sqrt(std::max(residual_sq, 0.0)) < options.tol) return "tol";
    const int row = Oracle();
    result_.objectives.push_back(0.5 * residual_sq);
    result_.gaps.push_back(tx_[row] - xc_[row] - (state->tc() - state->cc()));
    const std::vector<double>& column = Column(row);
    Direction direction = state->Towards(tx_[row], column[row], xc_[row]);
    if (!rho.empty() || state->Cancelled(direction, column[row])) {
      if (rho.empty()) rho = Residual(*state);
      direction = DirectionFromVectors(rho, row);
    }
    if (direction.length_sq < kMinDirectionSq) return "denom";
    const double gamma = LineSearch(direction);
    state->Step(row, gamma, tx_[row], column[row], xc_[row]);
    const double keep = 1 - gamma;
    for (int i = 0; i < k_; ++i) xc_[i] = keep * xc_[i] + gamma * column[i];
    result_.path.push_back(row);
    result_.gammas.push_back(gamma);
    ++result_.iterations;
    return static_cast<int>(state->support().size()) >= options.n ? "support" : nullptr;
  }

  // The certificate from the vectors, and the support in order with its Gram matrix.
  void Finish(const FrankWolfeState& state, const FrankWolfeOptions& options) {
    const std::vector<double> rho = Residual(state);
    const double rho_sq = BestKernels().dot(rho.data(), rho.data(), d_);
    const double rho_target = BestKernels().dot(rho.data(), target_.data(), d_);
    const int row = Oracle();
    double best = 0;
    BestKernels().row_dots(rows_.data() + static_cast<size_t>(row) * d_, 1, d_, rho.data(), &best);
    result_.residual_sq = rho_sq;
    result_.gap = std::max(0.0, best - (rho_target - rho_sq));  // <c, rho> = <t, rho> - <rho, rho>
    result_.target_sq = state.target_sq();
    result_.objectives.resize(result_.iterations);  // the update that "denom" refused has left its own
    result_.gaps.resize(result_.iterations);
    result_.objectives.push_back(0.5 * rho_sq);
    result_.gaps.push_back(result_.gap);
    const std::vector<int> order = OrderByWeight(state.weights(), state.support(), options.n);
    for (const int i : order) {
      const int point = static_cast<int>(state.support()[i]);
      result_.support.push_back(point);
      result_.weights.push_back(state.weights()[i]);
      result_.tx.push_back(tx_[point]);
    }
    for (const int a : result_.support) {
      for (const int b : result_.support) result_.gram.push_back(Column(a)[b]);
    }
  }

  std::span<const float> rows_;
  std::span<const double> target_, tx_;
  const int k_, d_;
  std::vector<int> slot_;  // of a row in columns_, -1 when it was never met
  std::vector<std::vector<double>> columns_;
  std::vector<double> xc_;
  FrankWolfeResult result_;
};

}  // namespace

FrankWolfeResult RunOnPool(std::span<const float> rows, std::span<const double> target, std::span<const double> tx,
                           int k, int d, const FrankWolfeOptions& options) {
  return PoolRun(rows, target, tx, k, d).Run(options);
}

}  // namespace hullft::select
