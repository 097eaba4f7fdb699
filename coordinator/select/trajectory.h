// One query's Frank-Wolfe trajectory over points that lie elsewhere: on the shards of a cluster. The same numbers, bit
// for bit, as RunOnPool (frank_wolfe.h) over all points in the order of their ids; docs/method.md, section 2.
//
// The caller plays the oracle: while !done(), it finds the point with the largest Score, the lowest id on ties, and
// hands it to Take. Score needs a point's vector and nothing else, so whoever holds the vector can compute it; it costs
// m products of d and O(iterations). Letters: d width, m support size. Thread safety: const functions may run together.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "coordinator/select/frank_wolfe.h"

namespace hullft::select {

class Trajectory {
 public:
  // target float32 [d], finite.
  Trajectory(std::span<const float> target, const FrankWolfeOptions& options);

  bool done() const { return phase_ == Phase::kDone; }
  // Float64 [d]: t at the start, then rho = t - c. Score(x) is <x, direction> but for rounding.
  std::span<const double> direction() const { return direction_; }
  double Score(std::span<const float> x) const;
  // At least |s - Score(x)| for every |x| <= length and every s that is <x, direction> computed in float32 from the
  // direction rounded to float32, in any order of additions, with fused multiply-add or without (Higham, Accuracy and
  // Stability of Numerical Algorithms, 2002, section 3.1).
  double Float32Error(double length) const;
  // Goes on to the point that the oracle found; ids below 2^63.
  void Take(uint64_t id, std::span<const float> x);

  // The points in the order they entered. Result's support, path and rows of gram are positions here.
  const std::vector<uint64_t>& ids() const { return ids_; }
  // When done. To be taken once.
  FrankWolfeResult TakeResult();

 private:
  // What the next answer of the oracle is for: the first vertex, a step, the duality gap at the end.
  enum class Phase { kStart, kStep, kCertify, kDone };
  struct Point {
    std::vector<float> narrow;
    std::vector<double> wide;
    double tx = 0;
  };
  size_t Enter(uint64_t id, std::span<const float> x);
  double PointInner(std::span<const float> x) const;  // <x, c> as RunOnPool updates it
  std::vector<double> Residual() const;
  void Begin();  // decides what the next answer is for
  void Step(uint64_t id, std::span<const float> x);
  void End(const char* stop);
  void Certify(std::span<const float> x);

  const FrankWolfeOptions options_;
  const std::vector<double> target_;
  Phase phase_ = Phase::kStart;
  std::optional<FrankWolfeState> state_;
  std::vector<uint64_t> ids_;
  std::vector<Point> points_;
  bool cancelled_ = false;  // the residual's expansion has lost its digits
  std::vector<double> direction_;
  double longest_ = 0;  // of the target and the points
  FrankWolfeResult result_;
};

}  // namespace hullft::select
