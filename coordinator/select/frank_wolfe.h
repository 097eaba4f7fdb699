// Frank-Wolfe on the simplex: minimise f(w) = 1/2 ||t - X^T w||^2 (Jaggi, ICML 2013, algorithm 1 with exact line
// search; HullFT, arXiv 2605.30337). docs/method.md derives what is below.
//
// Two halves. FrankWolfeState knows the support alone: weights and the numbers <t,c>, <c,c> of the point c = X^T w. Who
// finds the next point (the linear minimisation oracle) is the caller's affair: RunOnPool scans one pool; a run over a
// whole corpus asks its shards for argmax <x, rho> and needs of the winner only <t,x>, <x,x> and <x,c>. Letters: K pool
// size, d width, N multiset size, m support size. Thread safety: none shared; free functions are reentrant.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace hullft::select {

struct FrankWolfeOptions {
  int n = 20;          // stop when the support reaches N points
  int max_iter = 250;  // updates
  double tol = 1e-5;   // stop when ||t - c|| < tol
};

// The end of the trajectory's step: below it the step's direction has no length and the run stops ("denom").
inline constexpr double kMinDirectionSq = 1e-12;
// Squared lengths that come out of an expansion smaller than this share of its largest term have lost half their digits
// and are computed again from the vectors.
inline constexpr double kCancelled = 1e-6;

// What a step towards a point x needs: D = x - c, rho = t - c.
struct Direction {
  double length_sq = 0;  // <D, D>
  double descent = 0;    // <rho, D>
};

// The weights and the scalars of the current point.
class FrankWolfeState {
 public:
  // Starts at the vertex `first`. target_sq = <t,t>, tx = <t,x>, xx = <x,x>.
  FrankWolfeState(double target_sq, int64_t first, double tx, double xx);

  // <t-c, t-c> by expansion, and whether too few digits of it are left.
  double ResidualSq() const { return target_sq_ - 2 * tc_ + cc_; }
  bool ResidualCancelled() const;
  // The step towards x by expansion (tx = <t,x>, xx = <x,x>, xc = <x,c>), and whether it has lost too many digits.
  Direction Towards(double tx, double xx, double xc) const;
  bool Cancelled(const Direction& direction, double xx) const;

  // c += gamma (x - c). Adds the point to the support when it is new.
  void Step(int64_t point, double gamma, double tx, double xx, double xc);

  const std::vector<int64_t>& support() const { return support_; }  // in the order the points entered
  const std::vector<double>& weights() const { return weights_; }
  double target_sq() const { return target_sq_; }
  double tc() const { return tc_; }
  double cc() const { return cc_; }

 private:
  double target_sq_, tc_, cc_;
  std::vector<int64_t> support_;
  std::vector<double> weights_;
};

// gamma = clip(<rho,D> / <D,D>, 0, 1), the exact minimiser of f along D.
double LineSearch(const Direction& direction);

// Positions of weights by falling weight, lower point first on equal weights, at most n.
std::vector<int> OrderByWeight(std::span<const double> weights, std::span<const int64_t> points, int n);

struct FrankWolfeResult {
  std::vector<int> support;     // pool rows by falling weight, cut to N
  std::vector<double> weights;  // aligned, not renormalised
  std::vector<double> gram;     // m x m, row-major: inner products among the (cut) support
  std::vector<double> tx;       // m: <t, x_i>
  double target_sq = 0;
  int iterations = 0;
  std::string stop;            // "support" | "tol" | "max_iter" | "denom"
  double residual_sq = 0;      // ||t - c||^2 with all weights
  double gap = 0;              // max_i <x_i - c, rho>, never negative
  std::vector<int> path;       // the point of each update
  std::vector<double> gammas;  // its step length
  // f and the gap before each update and at the end (iterations + 1 values); of RunOnPool only.
  std::vector<double> objectives, gaps;
};

// The reference trajectory on one pool. rows float32 [k][d], target float64 [d] (widened), tx = X t (from
// Kernels::row_dots). Costs one product of K d per new support point and O(K) per iteration. k >= 1, all values finite.
FrankWolfeResult RunOnPool(std::span<const float> rows, std::span<const double> target, std::span<const double> tx,
                           int k, int d, const FrankWolfeOptions& options);

}  // namespace hullft::select
