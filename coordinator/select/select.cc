#include "coordinator/select/select.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "common/error.h"
#include "common/options.h"
#include "coordinator/select/baselines.h"
#include "coordinator/select/exact_rounding.h"
#include "coordinator/select/frank_wolfe.h"
#include "coordinator/select/integerize.h"
#include "coordinator/select/kernels.h"
#include "coordinator/select/pool_point.h"

namespace hullft::select {
namespace {

struct Named {
  const char* name;
  Method method;
};
constexpr Named kMethods[] = {
    {"hullft", Method::kHullft}, {"knn", Method::kKnn}, {"random", Method::kRandom},
    {"sift", Method::kSift},     {"mmr", Method::kMmr},
};

// Each row of the support as often as it counts.
std::vector<int> Expand(std::span<const int> support, std::span<const int> counts) {
  std::vector<int> expanded;
  expanded.reserve(static_cast<size_t>(std::accumulate(counts.begin(), counts.end(), 0)));
  for (size_t i = 0; i < support.size(); ++i) expanded.insert(expanded.end(), counts[i], support[i]);
  return expanded;
}

// The first value of a row that is not finite, in words.
std::string NotFinite(std::span<const float> values) {
  const auto bad = std::find_if(values.begin(), values.end(), [](float value) { return !std::isfinite(value); });
  return fmt::format("column {} is {}", bad - values.begin(), bad == values.end() ? 0.0f : *bad);
}

void CheckShape(const Pool& pool) {
  if (pool.k < 1) throw DataError("the pool is empty: there is nothing to select from");
  if (pool.d < 1) throw DataError("the embeddings have width {}; at least 1 is needed", pool.d);
  if (pool.target.size() != static_cast<size_t>(pool.d)) {
    throw DataError("the target has width {}, the pool's rows have {}", pool.target.size(), pool.d);
  }
  const size_t values = static_cast<size_t>(pool.k) * pool.d;
  if (pool.rows.size() != values) {
    throw DataError("a pool of {} rows of width {} needs {} values, there are {}", pool.k, pool.d, values,
                    pool.rows.size());
  }
  if (std::any_of(pool.target.begin(), pool.target.end(), [](float value) { return !std::isfinite(value); })) {
    throw DataError("the target is not finite: {}", NotFinite(pool.target));
  }
}

// X t into `scores`. A float64 sum of products of finite floats never overflows, so a row with NaN or infinity shows
// here, at no cost.
void Score(const Pool& pool, Workspace* workspace) {
  workspace->target.assign(pool.target.begin(), pool.target.end());
  workspace->scores.resize(static_cast<size_t>(pool.k));
  const double* const target[] = {workspace->target.data()};
  double* const scores[] = {workspace->scores.data()};
  BestKernels().gram_columns(pool.rows.data(), pool.k, pool.d, target, 1, scores);
  for (int i = 0; i < pool.k; ++i) {
    if (!std::isfinite(scores[0][i])) {
      throw DataError("pool row {} is not finite: {}", i,
                      NotFinite(pool.rows.subspan(static_cast<size_t>(i) * pool.d, pool.d)));
    }
  }
}

// The counts by the chosen rounding, and what they lose to the best ones where that is known.
std::vector<int> Counts(const SupportGeometry& geometry, std::span<const double> weights, const SelectOptions& options,
                        std::optional<double>* gap) {
  std::vector<int> counts = options.rounding == Rounding::kRemainder
                                ? IntegerizeByRemainder(weights, options.n)
                                : IntegerizeByGeometry(geometry, weights, options.n, options.swap_passes);
  if (options.exact_nodes == 0) return counts;
  const std::optional<std::vector<int>> best = IntegerizeExactly(geometry, counts, options.n, options.exact_nodes);
  if (best) {
    if (options.rounding == Rounding::kExact) counts = *best;
    const double lost = RoundedResidualSq(geometry, counts, options.n) - RoundedResidualSq(geometry, *best, options.n);
    *gap = 0.5 * std::max(0.0, lost);
  } else if (options.rounding == Rounding::kExact) {
    throw Error(Code::kUsage,
                fmt::format("exact rounding of {} sequences to N = {} was not finished after {} nodes", weights.size(),
                            options.n, options.exact_nodes),
                "raise --exact-nodes, lower --n or --max-support, or round by geometry");
  }
  return counts;
}

// f of the mean of the first 1, 2, ... picks.
std::vector<double> PickObjectives(const Pool& pool, std::span<const double> target, std::span<const int> picks) {
  std::vector<double> sum(pool.d, 0.0), rho(pool.d), objectives;
  for (const int row : picks) {
    const float* x = pool.rows.data() + static_cast<size_t>(row) * pool.d;
    const double count = static_cast<double>(objectives.size() + 1);
    for (int j = 0; j < pool.d; ++j) {
      sum[j] += x[j];
      rho[j] = target[j] - sum[j] / count;
    }
    objectives.push_back(0.5 * BestKernels().dot(rho.data(), rho.data(), pool.d));
  }
  return objectives;
}

// A selection from N picks: equal rows merge at their first place.
Selection FromPicks(const Pool& pool, const SelectOptions& options, std::span<const double> target,
                    std::vector<int> picks) {
  Selection selection;
  if (options.trace) selection.objectives = PickObjectives(pool, target, picks);
  for (const int row : picks) {
    const auto found = std::find(selection.support.begin(), selection.support.end(), row);
    if (found == selection.support.end()) {
      selection.support.push_back(row);
      selection.counts.push_back(1);
    } else {
      ++selection.counts[found - selection.support.begin()];
    }
  }
  std::vector<double> rho(target.begin(), target.end());
  for (size_t i = 0; i < selection.support.size(); ++i) {
    selection.weights.push_back(selection.counts[i] / static_cast<double>(picks.size()));
    const float* x = pool.rows.data() + static_cast<size_t>(selection.support[i]) * pool.d;
    for (int j = 0; j < pool.d; ++j) rho[j] -= selection.weights[i] * x[j];
  }
  const double rho_sq = BestKernels().dot(rho.data(), rho.data(), pool.d);
  selection.objective = 0.5 * rho_sq;
  selection.residual_norm = selection.rounded_residual_norm = std::sqrt(rho_sq);
  selection.measures = CountMeasures(selection.counts);
  selection.measures.redundancy = RedundancyOfRows(pool.rows, pool.d, selection.support, selection.counts);
  selection.expanded = std::move(picks);
  return selection;
}

Selection SelectSift(const Pool& pool, const SelectOptions& options, std::span<const double> target,
                     std::span<const double> tx) {
  Selection selection =
      FromPicks(pool, options, target, SiftRows(pool.rows, tx, pool.k, pool.d, options.n, options.sift_lambda));
  if (options.sift_grouping == SiftGrouping::kGlobal) selection.expanded = Expand(selection.support, selection.counts);
  return selection;
}

}  // namespace

Method MethodFromName(const std::string& name) {
  std::vector<std::string> names;
  for (const Named& entry : kMethods) {
    if (name == entry.name) return entry.method;
    names.emplace_back(entry.name);
  }
  const std::string nearest = NearestWord(name, names);
  throw Error(Code::kUsage,
              fmt::format("unknown method '{}'{}", name, nearest.empty() ? "" : "; did you mean '" + nearest + "'?"),
              fmt::format("methods: {}", fmt::join(names, ", ")));
}

std::string MethodName(Method method) {
  for (const Named& entry : kMethods) {
    if (entry.method == method) return entry.name;
  }
  throw Error(Code::kInternal, "a method without a name");
}

std::string SelectOptions::Validate() const {
  std::vector<std::string> faults;
  if (n < 1) faults.push_back(fmt::format("n is {}, it must be at least 1", n));
  if (max_iter < 1) faults.push_back(fmt::format("max_iter is {}, it must be at least 1", max_iter));
  if (!(tol >= 0) || !std::isfinite(tol)) faults.push_back(fmt::format("tol is {}, it must be 0 or more", tol));
  if (!(gap_tol >= 0) || !std::isfinite(gap_tol)) {
    faults.push_back(fmt::format("gap_tol is {}, it must be 0 or more", gap_tol));
  }
  if (max_support < 0) faults.push_back(fmt::format("max_support is {}, it must be 0 or more", max_support));
  if (exact_nodes < 0) faults.push_back(fmt::format("exact_nodes is {}, it must be 0 or more", exact_nodes));
  if (rounding == Rounding::kExact && exact_nodes == 0) faults.push_back("exact rounding needs exact_nodes above 0");
  if (swap_passes < 0) faults.push_back(fmt::format("swap_passes is {}, it must be 0 or more", swap_passes));
  if (!(sift_lambda > 0) || !std::isfinite(sift_lambda)) {
    faults.push_back(fmt::format("sift_lambda is {}, it must be above 0", sift_lambda));
  }
  if (!(mmr_lambda >= 0 && mmr_lambda <= 1)) {
    faults.push_back(fmt::format("mmr_lambda is {}, it must be from 0 to 1", mmr_lambda));
  }
  return fmt::format("{}", fmt::join(faults, "; "));
}

bool TakesEachOnce(Method method) {
  return method == Method::kKnn || method == Method::kRandom || method == Method::kMmr;
}

FrankWolfeOptions FrankWolfeOptionsOf(const SelectOptions& options) {
  return {.n = options.n,
          .max_iter = options.max_iter,
          .tol = options.tol,
          .gap_tol = options.gap_tol,
          .max_support = options.max_support,
          .variant = options.variant,
          .trace = options.trace};
}

Selection SelectionOf(FrankWolfeResult run, const SelectOptions& options) {
  const SupportGeometry geometry{run.gram, run.tx, run.target_sq};
  Selection selection;
  selection.counts = Counts(geometry, run.weights, options, &selection.measures.rounding_gap);
  selection.expanded = Expand(run.support, selection.counts);
  selection.rounded_residual_norm = std::sqrt(RoundedResidualSq(geometry, selection.counts, options.n));
  selection.support = std::move(run.support);
  selection.weights = std::move(run.weights);
  selection.iterations = run.iterations;
  selection.stop = run.stop;
  selection.objective = 0.5 * run.residual_sq;
  selection.gap = run.gap;
  selection.residual_norm = std::sqrt(run.residual_sq);
  const std::optional<double> rounding_gap = selection.measures.rounding_gap;
  selection.measures = CountMeasures(selection.counts);
  selection.measures.rounding_gap = rounding_gap;
  selection.measures.redundancy = RedundancyOfGram(run.gram, selection.counts);
  selection.measures.rounding_loss =
      0.5 * selection.rounded_residual_norm * selection.rounded_residual_norm - selection.objective;
  selection.objectives = std::move(run.objectives);
  selection.gaps = std::move(run.gaps);
  return selection;
}

Selection Select(const Pool& pool, const SelectOptions& options, const std::string& query_key) {
  if (const std::string faults = options.Validate(); !faults.empty()) throw Error(Code::kUsage, faults);
  CheckShape(pool);
  if (TakesEachOnce(options.method) && options.n > pool.k) {
    throw Error(Code::kUsage,
                fmt::format("{} takes each sequence at most once: n = {} but the pool holds {}",
                            MethodName(options.method), options.n, pool.k),
                "lower --n, enlarge the pool, or use hullft or sift, which may repeat sequences");
  }
  thread_local Workspace workspace;  // the next selection on this thread allocates nothing but its result
  Score(pool, &workspace);
  const std::vector<double>&target = workspace.target, &tx = workspace.scores;
  switch (options.method) {
    case Method::kHullft:
      return SelectionOf(RunOnPool({pool.rows, target, tx, pool.k, pool.d, {}, {}, pool.shared},
                                   FrankWolfeOptionsOf(options), &workspace),
                         options);
    case Method::kKnn:
      return FromPicks(pool, options, target, NearestRows(tx, options.n));
    case Method::kRandom:
      return FromPicks(pool, options, target, RandomRows(pool.k, options.n, options.seed, query_key));
    case Method::kSift:
      return SelectSift(pool, options, target, tx);
    case Method::kMmr:
      return FromPicks(pool, options, target, MmrRows(pool.rows, tx, pool.k, pool.d, options.n, options.mmr_lambda));
  }
  throw Error(Code::kInternal, "a method without code");
}

}  // namespace hullft::select
