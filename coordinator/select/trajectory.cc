#include "coordinator/select/trajectory.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "common/error.h"
#include "coordinator/select/kernels.h"

namespace hullft::select {
namespace {

double Inner(std::span<const float> x, const std::vector<double>& v) {
  double product = 0;
  BestKernels().row_dots(x.data(), 1, static_cast<int>(x.size()), v.data(), &product);
  return product;
}

double Dot(const std::vector<double>& a, const std::vector<double>& b) {
  return BestKernels().dot(a.data(), b.data(), static_cast<int>(a.size()));
}

}  // namespace

Trajectory::Trajectory(std::span<const float> target, const FrankWolfeOptions& options)
    : options_(options), target_(target.begin(), target.end()), direction_(target_) {
  HULLFT_CHECK(options.variant == Variant::kReference);
  result_.target_sq = Dot(target_, target_);
  longest_ = std::sqrt(result_.target_sq);
}

// The sum that RunOnPool keeps for every row, made anew for this one: the same operations in the same order.
double Trajectory::PointInner(std::span<const float> x) const {
  std::vector<double> inner(points_.size());
  for (size_t p = 0; p < points_.size(); ++p) inner[p] = Inner(x, points_[p].wide);
  double xc = inner[0];
  for (size_t i = 0; i < result_.path.size(); ++i) {
    const double gamma = result_.gammas[i];
    const double keep = 1 - gamma;
    xc = keep * xc + gamma * inner[static_cast<size_t>(result_.path[i])];
  }
  return xc;
}

double Trajectory::Score(std::span<const float> x) const {
  const double tx = Inner(x, target_);
  return phase_ == Phase::kStart ? tx : tx - PointInner(x);
}

double Trajectory::Float32Error(double length) const {
  const auto d = static_cast<double>(target_.size());
  const double direction = std::sqrt(Dot(direction_, direction_));
  // float32: the rounding of the direction and d products and additions; 1.01 covers the terms of second order.
  const double narrow = 1.01 * (d + 2) * 0x1p-24 * direction * length;
  // float64: Score's two inner products, four roundings an iteration in <x, c>, and the same in the weights that the
  // direction is made of; every term is at most |x| (|t| + max |x_s|) <= 2 |x| longest.
  const auto iterations = static_cast<double>(result_.path.size());
  const auto support = static_cast<double>(points_.size());
  const double wide = 0x1p-52 * (4 * d + 16 * iterations + 4 * support + 64) * 2 * longest_ * length;
  const double underflow = d * 0x1p-126 * (1 + length + direction);
  return narrow + wide + underflow;
}

size_t Trajectory::Enter(uint64_t id, std::span<const float> x) {
  const auto place = std::find(ids_.begin(), ids_.end(), id);
  if (place != ids_.end()) return static_cast<size_t>(place - ids_.begin());
  Point point{{x.begin(), x.end()}, {x.begin(), x.end()}, Inner(x, target_)};
  longest_ = std::max(longest_, std::sqrt(Dot(point.wide, point.wide)));
  points_.push_back(std::move(point));
  ids_.push_back(id);
  return ids_.size() - 1;
}

std::vector<double> Trajectory::Residual() const {
  std::vector<double> point(target_.size(), 0.0);
  for (size_t i = 0; i < points_.size(); ++i) {
    const double weight = state_->weights()[i];
    for (size_t j = 0; j < point.size(); ++j) point[j] += weight * points_[i].narrow[j];
  }
  for (size_t j = 0; j < point.size(); ++j) point[j] = target_[j] - point[j];
  return point;
}

void Trajectory::Take(uint64_t id, std::span<const float> x) {
  HULLFT_CHECK(x.size() == target_.size() && !done());
  switch (phase_) {
    case Phase::kStart: {
      const Point& point = points_[Enter(id, x)];
      state_.emplace(result_.target_sq, static_cast<int64_t>(id), point.tx, Inner(point.narrow, point.wide));
      return Begin();
    }
    case Phase::kStep:
      return Step(id, x);
    case Phase::kCertify:
      return Certify(x);
    case Phase::kDone:
      return;
  }
}

void Trajectory::Begin() {
  direction_ = Residual();
  cancelled_ = state_->ResidualCancelled();
  if (result_.iterations >= options_.max_iter) return End("max_iter");
  const double residual_sq = cancelled_ ? Dot(direction_, direction_) : state_->ResidualSq();
  if (std::sqrt(std::max(residual_sq, 0.0)) < options_.tol) return End("tol");
  phase_ = Phase::kStep;
}

void Trajectory::Step(uint64_t id, std::span<const float> x) {
  const double tx = Inner(x, target_);
  const std::vector<double> wide(x.begin(), x.end());
  const double xx = Inner(x, wide);
  const double xc = PointInner(x);
  Direction direction = state_->Towards(tx, xx, xc);
  if (cancelled_ || state_->Cancelled(direction, xx)) {
    std::vector<double> step(x.size());
    for (size_t j = 0; j < step.size(); ++j) step[j] = x[j] - (target_[j] - direction_[j]);
    direction = {Dot(step, step), Dot(direction_, step)};
  }
  const bool closed = options_.gap_tol > 0 && direction.descent <= options_.gap_tol;
  if (closed || direction.length_sq < kMinDirectionSq) {
    result_.stop = closed ? "gap" : "denom";
    return Certify(x);  // the point has not moved: this answer is the certificate's as well
  }
  const double gamma = LineSearch(direction);
  state_->Step(static_cast<int64_t>(id), gamma, tx, xx, xc);
  result_.path.push_back(static_cast<int>(Enter(id, x)));
  result_.gammas.push_back(gamma);
  ++result_.iterations;
  if (static_cast<int>(ids_.size()) >= options_.SupportLimit()) {
    direction_ = Residual();
    return End("support");
  }
  Begin();
}

void Trajectory::End(const char* stop) {
  result_.stop = stop;
  phase_ = Phase::kCertify;
}

void Trajectory::Certify(std::span<const float> x) {
  const double rho_sq = Dot(direction_, direction_);
  result_.residual_sq = rho_sq;
  // <c, rho> = <t, rho> - <rho, rho>
  result_.gap = std::max(0.0, Inner(x, direction_) - (Dot(direction_, target_) - rho_sq));
  result_.support = OrderByWeight(state_->weights(), state_->support(), options_.SupportLimit());
  for (const int a : result_.support) {
    const auto p = static_cast<size_t>(a);
    result_.weights.push_back(state_->weights()[p]);
    result_.tx.push_back(points_[p].tx);
    for (const int b : result_.support)
      result_.gram.push_back(Inner(points_[static_cast<size_t>(b)].narrow, points_[p].wide));
  }
  phase_ = Phase::kDone;
}

FrankWolfeResult Trajectory::TakeResult() {
  HULLFT_CHECK(done());
  return std::move(result_);
}

}  // namespace hullft::select
