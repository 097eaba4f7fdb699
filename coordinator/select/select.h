// Choosing a multiset of N sequences for one query from a pool: HullFT (Frank-Wolfe and geometric integerization), kNN,
// random, SIFT, maximal marginal relevance (method.md §3, §4, §7; docs/method.md for the formulas and their sources).
//
// Pure mathematics over spans of numbers: no MPI, no RocksDB, no Torch. Deterministic: the same input gives the same
// bits on every machine and thread count (float64, a fixed order of additions, no fused multiply-add). Letters: K pool
// size, d width, N multiset size, m support size. Thread safety: free functions, reentrant.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "coordinator/select/frank_wolfe.h"
#include "coordinator/select/measures.h"

namespace hullft::select {

enum class Method { kHullft, kKnn, kRandom, kSift, kMmr };
Method MethodFromName(const std::string& name);  // kUsage for an unknown one, naming the nearest
std::string MethodName(Method method);
bool TakesEachOnce(Method method);  // no repeats: n must not be above K

// How HullFT's weights become counts: the paper's geometric integerization, its ablation, or the best counts there are.
enum class Rounding { kGeometry, kRemainder, kExact };

// SIFT picks a sequence again after others. kConsecutive trains in the order of the picks, so that gradients are reused
// between neighbours only; kGlobal moves every repeat to the first pick (the reference's `global`).
enum class SiftGrouping { kConsecutive, kGlobal };

struct SelectOptions {
  Method method = Method::kHullft;
  int n = 20;           // N, size of the multiset
  int max_iter = 250;   // Frank-Wolfe iterations (the authors' configuration files)
  double tol = 1e-5;    // stop when ||t - c|| < tol
  double gap_tol = 0;   // stop when the duality gap is at most this; 0: never, or for the variants at rounding
  int max_support = 0;  // the support's size is cut to this many sequences, N at most; 0: N
  Variant variant = Variant::kReference;
  int swap_passes = 2;  // passes of the integerization's local search
  Rounding rounding = Rounding::kGeometry;
  int64_t exact_nodes = 0;   // of the search for the best counts (exact_rounding.h); 0: none, and no rounding_gap
  double sift_lambda = 0.2;  // observation noise of SIFT (HullFT's experiments)
  SiftGrouping sift_grouping = SiftGrouping::kConsecutive;
  double mmr_lambda = 0.5;       // mmr: 1 is relevance alone, 0 novelty alone
  uint64_t seed = 42;            // random: mixed with query_key, so each query has its own draw
  bool trace = false;            // fill objectives and gaps of the Selection
  std::string Validate() const;  // all faults in one sentence; "" when there is none
};

// The pool of one query: rows float32 [k][d], row-major, ordered by (score descending, global id ascending).
struct Pool {
  std::span<const float> rows;    // k * d values
  std::span<const float> target;  // d values, the query's embedding
  int k = 0;
  int d = 0;
  // Where several selections from the same rows, on any threads, keep their Gram columns (gram_columns.h); changes
  // speed and nothing else. Null: none.
  SharedColumns* shared = nullptr;
};

struct Selection {
  std::vector<int> support;  // pool rows by falling weight (lower row first on ties), at most N
                             // (other methods: the distinct picks in order of their first pick)
  std::vector<double>
      weights;  // aligned with support, as the method gave them (not renormalised); other methods: counts / N
  std::vector<int> counts;    // aligned with support, sum N; 0 where rounding gave none
  std::vector<int> expanded;  // N pool rows, the order of finetuning
  int iterations = 0;         // Frank-Wolfe updates done; 0 for other methods
  std::string stop;           // "support" | "tol" | "gap" | "max_iter" | "denom"; "" for other methods
  double objective = 0;       // f(w) = 1/2 ||t - X^T w||^2 with the weights as the method ended (before the cut to N)
  double gap = 0;             // duality gap max_i <x_i - c, rho> at the end; 0 for other methods
  double residual_norm = 0;   // ||t - X^T w||
  double rounded_residual_norm = 0;  // ||t - (1/N) sum counts x||, what rounding left
  Measures measures;
  // With trace, the way there. hullft: f(w) and the gap before each iteration and at the end; other methods: f of the
  // mean of the first 1, 2, ..., N picks, and no gaps. Empty for a run over a whole corpus.
  std::vector<double> objectives, gaps;
};

// Throws kUsage for options that do not validate, and where kExact needs more than exact_nodes; kData for a target or
// rows that are not finite or of the wrong size, kUsage for n > k where TakesEachOnce. query_key enters the random
// method only.
Selection Select(const Pool& pool, const SelectOptions& options, const std::string& query_key = "");

// Counts and diagnostics of a finished Frank-Wolfe run, wherever its points were (trajectory.h); support and expanded
// are what the run's support holds.
FrankWolfeOptions FrankWolfeOptionsOf(const SelectOptions& options);
Selection SelectionOf(FrankWolfeResult run, const SelectOptions& options);

}  // namespace hullft::select
