// Frank-Wolfe on the simplex: minimise f(w) = 1/2 ||t - X^T w||^2 (Jaggi, ICML 2013, algorithm 1 with exact line
// search; HullFT, arXiv 2605.30337), and its variants. docs/method.md derives what is below.
//
// Two halves. FrankWolfeState knows the support alone: weights and the numbers <t,c>, <c,c> of the point c = X^T w. Who
// finds the next point (the linear minimisation oracle) is the caller's affair: RunOnPool scans one pool; a run over a
// whole corpus asks its shards for argmax <x, rho> and needs of the winner only <t,x>, <x,x> and <x,c>. Letters: K pool
// size, d width, N multiset size, m support size. Thread safety: none shared; free functions are reentrant.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace hullft::select {

class SharedColumns;
struct Workspace;

// kReference is the paper's path. The others reach the same optimum, linearly, with fewer points (Lacoste-Julien &
// Jaggi, NeurIPS 2015, algorithms 1 and 2; Wolfe, Mathematical Programming 1976).
enum class Variant { kReference, kAway, kPairwise, kCorrective };
Variant VariantFromName(const std::string& name);  // kUsage for an unknown one, naming the nearest
std::string VariantName(Variant variant);

struct FrankWolfeOptions {
  int n = 20;           // N: the support is cut to it
  int max_iter = 250;   // updates
  double tol = 1e-5;    // stop when ||t - c|| < tol
  double gap_tol = 0;   // stop when the duality gap is at most this; 0: kReference does not look at it
  int max_support = 0;  // stop when the support reaches this many points, N at most; 0: N
  Variant variant = Variant::kReference;
  bool trace = false;  // keep the path
  int SupportLimit() const { return max_support > 0 ? std::min(max_support, n) : n; }
};

// The end of the trajectory's step: below it the step's direction has no length and the run stops ("denom").
inline constexpr double kMinDirectionSq = 1e-12;
// Squared lengths that come out of an expansion smaller than this share of its largest term have lost half their digits
// and are computed again from the vectors.
inline constexpr double kCancelled = 1e-6;

// What a step towards a point x needs: D = x - c, rho = t - c.
struct Direction {
  double length_sq = 0;  // <D, D>
  double descent = 0;    // <rho, D>; of the point with the largest <x, rho> it is the duality gap
};

// The weights and the scalars of the current point.
class FrankWolfeState {
 public:
  // Starts at the vertex `first`. target_sq = <t,t>, tx = <t,x>, xx = <x,x>. Steps allocate nothing until the support
  // has more than `capacity` points.
  FrankWolfeState(double target_sq, int64_t first, double tx, double xx, int capacity = 1);
  // Starts at a point inside: tc = <t,c>, cc = <c,c>.
  FrankWolfeState(double target_sq, std::vector<int64_t> support, std::vector<double> weights, double tc, double cc,
                  int capacity);

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
  std::string stop;        // "support" | "tol" | "gap" | "max_iter" | "denom"
  double residual_sq = 0;  // ||t - c||^2 with all weights
  double gap = 0;          // max_i <x_i - c, rho>, never negative
  // With trace: the point that the oracle found for each update, and (not kCorrective) its step length; f and the gap
  // before each update and at the end (iterations + 1 values).
  std::vector<int> path;
  std::vector<double> gammas, objectives, gaps;
};

// One pool and target. rows float32 [k][d], target float64 [d] (widened), tx = X t (float64 [k], the order of additions
// of kernels.h). k >= 1, all values finite.
struct FrankWolfeProblem {
  std::span<const float> rows;
  std::span<const double> target, tx;
  int k = 0, d = 0;
  // Warm start: distinct rows and their weights, >= 0 with a positive sum (it is scaled to 1); none: the row with the
  // largest <t, x>. At most SupportLimit() of them.
  std::span<const int> start{};
  std::span<const double> start_weights{};
  SharedColumns* shared = nullptr;  // columns that several runs over these rows compute once; null: none
};

// The chosen variant on one pool. Costs one product of K d per new support point and O(K) per iteration (kCorrective:
// O(K m + m^2)); no work in d inside an iteration, but for the O(m d) of kReference where the residual's expansion
// cancels. Nothing is allocated inside iterations unless trace is set, and nothing at all but the result when the
// workspace has served a run as large; null: one of its own.
FrankWolfeResult RunOnPool(const FrankWolfeProblem& problem, const FrankWolfeOptions& options,
                           Workspace* workspace = nullptr);

}  // namespace hullft::select
