#include "coordinator/select/pool_point.h"

#include <algorithm>
#include <cmath>

#include "common/error.h"
#include "coordinator/select/kernels.h"

namespace hullft::select {

int MostPoints(const FrankWolfeProblem& problem, const FrankWolfeOptions& options) {
  const auto started = std::max<int64_t>(1, static_cast<int64_t>(problem.start.size()));
  return static_cast<int>(
      std::min({int64_t{options.SupportLimit()} + 1, started + options.max_iter, int64_t{problem.k}}));
}

PoolPoint::PoolPoint(const FrankWolfeProblem& problem, int most, Workspace* workspace)
    : problem_(problem),
      own_(workspace == nullptr ? std::make_unique<Workspace>() : nullptr),
      workspace_(workspace == nullptr ? *own_ : *workspace) {
  const auto d = static_cast<size_t>(problem.d);
  // Beside the support: a row that the run looks at before it enters.
  workspace_.columns.Attach(problem.rows, problem.k, problem.d, std::min(problem.k, most + 1), problem.shared);
  workspace_.products.assign(static_cast<size_t>(problem.k), 0.0);
  workspace_.residual.resize(d);
  workspace_.step.resize(d);
  target_sq_ = Dot(problem.target, problem.target);
}

double PoolPoint::Dot(std::span<const double> a, std::span<const double> b) const {
  return BestKernels().dot(a.data(), b.data(), problem_.d);
}

std::span<const float> PoolPoint::Row(int64_t row) const {
  const auto d = static_cast<size_t>(problem_.d);
  return problem_.rows.subspan(static_cast<size_t>(row) * d, d);
}

void PoolPoint::Start(std::vector<int64_t>* support, std::vector<double>* weights) {
  if (problem_.start.empty()) {
    support->push_back(Oracle());  // p is 0 here
    weights->push_back(1.0);
  } else {
    double sum = 0;
    for (const double weight : problem_.start_weights) sum += weight;
    for (size_t i = 0; i < problem_.start.size(); ++i) {
      if (problem_.start_weights[i] == 0) continue;
      support->push_back(problem_.start[i]);
      weights->push_back(problem_.start_weights[i] / sum);
    }
  }
  Set(*support, *weights);
}

int PoolPoint::Oracle() const {
  return BestKernels().largest_difference(problem_.tx.data(), workspace_.products.data(), problem_.k);
}

// The rows with the next largest scores are the best guess at what the oracle answers soon.
std::span<const int> PoolPoint::Guess(int row) {
  const GramColumns& columns = workspace_.columns;
  const size_t most = columns.PartnersTaken();
  size_t count = 0;
  for (int i = 0; i < problem_.k && most > 0; ++i) {
    const double score = Score(i);
    if (count == most && score <= Score(guess_[count - 1])) continue;
    if (i == row || columns.Has(i)) continue;
    size_t place = count < most ? count++ : count - 1;
    for (; place > 0 && score > Score(guess_[place - 1]); --place) guess_[place] = guess_[place - 1];
    guess_[place] = i;
  }
  return std::span(guess_).first(count);
}

const double* PoolPoint::Column(int row) {
  GramColumns& columns = workspace_.columns;
  return columns.Column(row, columns.Has(row) ? std::span<const int>() : Guess(row));
}

void PoolPoint::Move(double keep, double gamma, int row) {
  BestKernels().blend(keep, gamma, Column(row), problem_.k, workspace_.products.data());
}

void PoolPoint::Set(std::span<const int64_t> support, std::span<const double> weights) {
  double* p = workspace_.products.data();
  for (size_t i = 0; i < support.size(); ++i) {
    const double* column = Column(static_cast<int>(support[i]));
    if (i == 0) std::fill_n(p, problem_.k, 0.0);  // not before: Column looks at the scores
    BestKernels().blend(1, weights[i], column, problem_.k, p);
  }
}

PoolPoint::CenterProducts PoolPoint::Products(std::span<const int64_t> support, std::span<const double> weights) const {
  CenterProducts products;
  for (size_t i = 0; i < support.size(); ++i) {
    const int row = static_cast<int>(support[i]);
    products.tc += weights[i] * tx(row);
    products.cc += weights[i] * Product(row);
  }
  return products;
}

std::span<const double> PoolPoint::Residual(std::span<const int64_t> support, std::span<const double> weights) {
  std::vector<double>& point = workspace_.residual;
  std::fill(point.begin(), point.end(), 0.0);
  for (size_t i = 0; i < support.size(); ++i) {
    BestKernels().add_scaled(weights[i], Row(support[i]).data(), problem_.d, point.data());
  }
  for (size_t j = 0; j < point.size(); ++j) point[j] = problem_.target[j] - point[j];
  return point;
}

Direction PoolPoint::DirectionTo(int row, std::span<const double> rho) {
  const std::span<const float> x = Row(row);
  std::vector<double>& step = workspace_.step;
  for (size_t j = 0; j < step.size(); ++j) step[j] = x[j] - (problem_.target[j] - rho[j]);
  return {Dot(step, step), Dot(rho, step)};
}

void PoolPoint::Finish(std::span<const int64_t> support, std::span<const double> weights,
                       const FrankWolfeOptions& options, FrankWolfeResult* result) {
  const std::span<const double> rho = Residual(support, weights);
  const double rho_sq = Dot(rho, rho);
  double best = 0;
  BestKernels().row_dots(Row(Oracle()).data(), 1, problem_.d, rho.data(), &best);
  result->residual_sq = rho_sq;
  result->gap = std::max(0.0, best - (Dot(rho, problem_.target) - rho_sq));  // <c, rho> = <t, rho> - <rho, rho>
  result->target_sq = target_sq_;
  if (options.trace) {
    result->objectives.push_back(0.5 * rho_sq);
    result->gaps.push_back(result->gap);
  }
  const std::vector<int> order = OrderByWeight(weights, support, options.SupportLimit());
  result->support.reserve(order.size());
  result->weights.reserve(order.size());
  result->tx.reserve(order.size());
  for (const int i : order) {
    result->support.push_back(static_cast<int>(support[static_cast<size_t>(i)]));
    result->weights.push_back(weights[static_cast<size_t>(i)]);
    result->tx.push_back(tx(result->support.back()));
  }
  result->gram.reserve(result->support.size() * result->support.size());
  for (const int a : result->support) {
    const double* column = Column(a);
    for (const int b : result->support) result->gram.push_back(column[b]);
  }
}

}  // namespace hullft::select
