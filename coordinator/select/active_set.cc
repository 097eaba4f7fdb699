// Away-step and pairwise Frank-Wolfe (Lacoste-Julien & Jaggi, NeurIPS 2015, algorithms 1 and 2) with exact line search:
// weight also moves away from the worst point of the support, and points leave it.
#include <algorithm>
#include <cmath>

#include "coordinator/select/pool_point.h"

namespace hullft::select {
namespace {

// A gap that is smaller than this share of the squared lengths cannot be told from rounding.
constexpr double kGapFloor = 1e-14;
// The products p follow the weights with a rounding in each update; after so many they are made anew.
constexpr int kRefresh = 100;

class ActiveSetRun {
 public:
  ActiveSetRun(const FrankWolfeProblem& problem, const FrankWolfeOptions& options, Workspace* workspace)
      : options_(options), most_(MostPoints(problem, options)), point_(problem, most_, workspace) {
    support_.reserve(static_cast<size_t>(most_) + 1);
    weights_.reserve(static_cast<size_t>(most_) + 1);
    point_.Start(&support_, &weights_);
  }

  FrankWolfeResult Run() {
    Iterate(options_.max_iter, &result_, [this] { return Update(); });
    point_.Finish(support_, weights_, options_, &result_);
    return std::move(result_);
  }

 private:
  struct Step {
    int to = -1, from = -1;  // weight moves from the point `from` (-1: from all) to the point `to` (-1: to all)
    Direction direction;
    double largest = 1;  // step length
  };

  // The place in the support of the point with the least <x, rho>, the lowest row on ties.
  size_t Worst() const {
    size_t worst = 0;
    for (size_t i = 1; i < support_.size(); ++i) {
      const double score = ScoreAt(i), least = ScoreAt(worst);
      if (score < least || (score == least && support_[i] < support_[worst])) worst = i;
    }
    return worst;
  }
  double ScoreAt(size_t place) const { return point_.Score(static_cast<int>(support_[place])); }

  Step Choose(int best, double tc, double cc) {
    const double descent = point_.Score(best) - (tc - cc);
    const size_t place = Worst();
    const int worst = static_cast<int>(support_[place]);
    const double weight = weights_[place], away = (tc - cc) - ScoreAt(place);
    const double worst_sq = point_.Column(worst)[worst];
    if (options_.variant == Variant::kPairwise) {
      const double* column = point_.Column(best);
      return {best, worst, {column[best] - 2 * column[worst] + worst_sq, descent + away}, weight};
    }
    if (descent >= away || support_.size() == 1) {
      return {best, -1, {point_.Column(best)[best] - 2 * point_.Product(best) + cc, descent}, 1};
    }
    return {-1, worst, {worst_sq - 2 * point_.Product(worst) + cc, away}, weight / (1 - weight)};
  }

  // One update, or the reason why there is none (or no further one).
  const char* Update() {
    const auto [tc, cc] = point_.Products(support_, weights_);
    const double residual_sq = std::max(0.0, point_.target_sq() - 2 * tc + cc);
    if (std::sqrt(residual_sq) < options_.tol) return "tol";
    const int best = point_.Oracle();
    const double floor = kGapFloor * std::max(point_.target_sq(), cc);
    const double gap = point_.Score(best) - (tc - cc);
    if (gap <= std::max(options_.gap_tol, floor)) return "gap";
    const Step step = Choose(best, tc, cc);
    const auto [length_sq, descent] = step.direction;
    const double gamma = length_sq > 0 ? std::min(descent / length_sq, step.largest) : step.largest;
    if (options_.trace) {
      result_.objectives.push_back(0.5 * residual_sq);
      result_.gaps.push_back(gap);
      result_.path.push_back(best);
      result_.gammas.push_back(gamma);
    }
    Apply(step, gamma);
    if (++result_.iterations % kRefresh == 0) Refresh();
    return static_cast<int>(support_.size()) >= options_.SupportLimit() ? "support" : nullptr;
  }

  void Apply(const Step& step, double gamma) {
    const double keep = step.from < 0 ? 1 - gamma : step.to < 0 ? 1 + gamma : 1;
    for (double& weight : weights_) weight *= keep;
    if (step.from >= 0) {
      point_.Move(keep, -gamma, step.from);
      const auto place = static_cast<size_t>(std::find(support_.begin(), support_.end(), step.from) - support_.begin());
      weights_[place] = gamma == step.largest ? 0 : weights_[place] - gamma;
    }
    if (step.to >= 0) {
      point_.Move(step.from < 0 ? keep : 1, gamma, step.to);
      const auto found = std::find(support_.begin(), support_.end(), step.to);
      if (found == support_.end()) {
        support_.push_back(step.to);
        weights_.push_back(gamma);
      } else {
        weights_[static_cast<size_t>(found - support_.begin())] += gamma;
      }
    }
    DropEmpty();
  }

  void DropEmpty() {
    size_t kept = 0;
    for (size_t i = 0; i < support_.size(); ++i) {
      if (weights_[i] <= 0) {
        point_.Release(static_cast<int>(support_[i]));
        continue;
      }
      support_[kept] = support_[i];
      weights_[kept++] = weights_[i];
    }
    support_.resize(kept);
    weights_.resize(kept);
  }

  void Refresh() {
    double sum = 0;
    for (const double weight : weights_) sum += weight;
    for (double& weight : weights_) weight /= sum;
    point_.Set(support_, weights_);
  }

  const FrankWolfeOptions& options_;
  const int most_;
  PoolPoint point_;
  std::vector<int64_t> support_;  // in the order the points entered; weights above 0
  std::vector<double> weights_;
  FrankWolfeResult result_;
};

}  // namespace

FrankWolfeResult RunActiveSet(const FrankWolfeProblem& problem, const FrankWolfeOptions& options,
                              Workspace* workspace) {
  return ActiveSetRun(problem, options, workspace).Run();
}

}  // namespace hullft::select
