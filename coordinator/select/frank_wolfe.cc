#include "coordinator/select/frank_wolfe.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/error.h"
#include "common/options.h"
#include "coordinator/select/kernels.h"
#include "coordinator/select/pool_point.h"

namespace hullft::select {

FrankWolfeState::FrankWolfeState(double target_sq, int64_t first, double tx, double xx, int capacity)
    : FrankWolfeState(target_sq, {first}, {1.0}, tx, xx, capacity) {}

FrankWolfeState::FrankWolfeState(double target_sq, std::vector<int64_t> support, std::vector<double> weights, double tc,
                                 double cc, int capacity)
    : target_sq_(target_sq), tc_(tc), cc_(cc), support_(std::move(support)), weights_(std::move(weights)) {
  support_.reserve(static_cast<size_t>(capacity));
  weights_.reserve(static_cast<size_t>(capacity));
}

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

struct Named {
  const char* name;
  Variant variant;
};
constexpr Named kVariants[] = {{"reference", Variant::kReference},
                               {"away", Variant::kAway},
                               {"pairwise", Variant::kPairwise},
                               {"corrective", Variant::kCorrective}};

// The paper's path.
class ReferenceRun {
 public:
  ReferenceRun(const FrankWolfeProblem& problem, const FrankWolfeOptions& options, Workspace* workspace)
      : options_(options),
        limit_(options.SupportLimit()),
        most_(MostPoints(problem, options)),
        point_(problem, most_, workspace),
        state_(Begin()) {}

  FrankWolfeResult Run() {
    Iterate(options_.max_iter, &result_, [this] { return Update(); });
    point_.Finish(state_.support(), state_.weights(), options_, &result_);
    return std::move(result_);
  }

 private:
  FrankWolfeState Begin() {
    std::vector<int64_t> support;
    std::vector<double> weights;
    point_.Start(&support, &weights);
    const auto [tc, cc] = point_.Products(support, weights);
    return {point_.target_sq(), std::move(support), std::move(weights), tc, cc, most_};
  }

  // One update, or the reason why there is none (or no further one).
  const char* Update() {
    double residual_sq = state_.ResidualSq();
    std::span<const double> rho;
    if (state_.ResidualCancelled()) {
      rho = point_.Residual(state_.support(), state_.weights());
      residual_sq = BestKernels().dot(rho.data(), rho.data(), static_cast<int>(rho.size()));
    }
    if (std::sqrt(std::max(residual_sq, 0.0)) < options_.tol) return "tol";
    const int row = point_.Oracle();
    const double tx = point_.tx(row), xx = point_.Column(row)[row], xc = point_.Product(row);
    Direction direction = state_.Towards(tx, xx, xc);
    if (!rho.empty() || state_.Cancelled(direction, xx)) {
      if (rho.empty()) rho = point_.Residual(state_.support(), state_.weights());
      direction = point_.DirectionTo(row, rho);
    }
    if (options_.gap_tol > 0 && direction.descent <= options_.gap_tol) return "gap";
    if (direction.length_sq < kMinDirectionSq) return "denom";
    const double gamma = LineSearch(direction);
    if (options_.trace) {
      result_.objectives.push_back(0.5 * residual_sq);
      result_.gaps.push_back(direction.descent);
      result_.path.push_back(row);
      result_.gammas.push_back(gamma);
    }
    state_.Step(row, gamma, tx, xx, xc);
    point_.Move(1 - gamma, gamma, row);
    ++result_.iterations;
    return static_cast<int>(state_.support().size()) >= limit_ ? "support" : nullptr;
  }

  const FrankWolfeOptions& options_;
  const int limit_, most_;
  PoolPoint point_;
  FrankWolfeState state_;
  FrankWolfeResult result_;
};

void CheckStart(const FrankWolfeProblem& problem, const FrankWolfeOptions& options) {
  double sum = 0;
  std::vector<int> rows(problem.start.begin(), problem.start.end());
  HULLFT_CHECK(problem.start_weights.size() == rows.size());
  if (rows.empty()) return;
  for (size_t i = 0; i < rows.size(); ++i) {
    const double weight = problem.start_weights[i];
    if (rows[i] < 0 || rows[i] >= problem.k) {
      throw DataError("warm start: row {} is not in the pool of {} rows", rows[i], problem.k);
    }
    if (!(weight >= 0) || !std::isfinite(weight)) {
      throw DataError("warm start: the weight of row {} is {}, it must be 0 or more", rows[i], weight);
    }
    sum += weight;
  }
  const auto used = std::count_if(problem.start_weights.begin(), problem.start_weights.end(),
                                  [](double weight) { return weight > 0; });
  if (!(sum > 0)) throw DataError("warm start: all {} weights are 0", rows.size());
  if (used > options.SupportLimit()) {
    throw DataError("warm start: {} rows have weight, the support may hold {}", used, options.SupportLimit());
  }
  std::sort(rows.begin(), rows.end());
  if (const auto twice = std::adjacent_find(rows.begin(), rows.end()); twice != rows.end()) {
    throw DataError("warm start: row {} is given twice", *twice);
  }
}

}  // namespace

Variant VariantFromName(const std::string& name) {
  std::vector<std::string> names;
  for (const Named& entry : kVariants) {
    if (name == entry.name) return entry.variant;
    names.emplace_back(entry.name);
  }
  const std::string nearest = NearestWord(name, names);
  throw Error(Code::kUsage,
              fmt::format("unknown Frank-Wolfe variant '{}'{}", name,
                          nearest.empty() ? "" : "; did you mean '" + nearest + "'?"),
              fmt::format("variants: {}", fmt::join(names, ", ")));
}

std::string VariantName(Variant variant) {
  for (const Named& entry : kVariants) {
    if (entry.variant == variant) return entry.name;
  }
  throw Error(Code::kInternal, "a variant without a name");
}

FrankWolfeResult RunReference(const FrankWolfeProblem& problem, const FrankWolfeOptions& options,
                              Workspace* workspace) {
  return ReferenceRun(problem, options, workspace).Run();
}

FrankWolfeResult RunOnPool(const FrankWolfeProblem& problem, const FrankWolfeOptions& options, Workspace* workspace) {
  CheckStart(problem, options);
  switch (options.variant) {
    case Variant::kReference:
      return RunReference(problem, options, workspace);
    case Variant::kAway:
    case Variant::kPairwise:
      return RunActiveSet(problem, options, workspace);
    case Variant::kCorrective:
      return RunCorrective(problem, options, workspace);
  }
  throw Error(Code::kInternal, "a variant without code");
}

}  // namespace hullft::select
