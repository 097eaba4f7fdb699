// Statistics of experiments: quantiles, ranks, paired bootstrap, correction for several comparisons, Pareto front.
//
// Everything random is seeded and drawn by SplitMix64, so that a figure is the same with every standard library and on
// any number of threads, and can be computed again by another program. Thread safety: free functions; values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace hullft {

// Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators (OOPSLA 2014).
class SplitMix64 {
 public:
  explicit SplitMix64(uint64_t seed) : state_(seed) {}
  uint64_t Next();
  // Uniform in [0, n), n from 1 to 2^32: the upper 32 bits of Next(), times n, shifted down.
  uint64_t Below(uint64_t n);

 private:
  uint64_t state_;
};

struct Interval {
  double low = 0, high = 0;
};

// Quantile q in [0, 1] of sorted values, linear between order statistics; NaN without values.
double Quantile(std::span<const double> sorted, double q);
// The middle 95% of the values: the percentile interval of a bootstrap.
Interval Middle95(std::vector<double> values);

// Values of queries under several treatments: [queries][columns], row-major.
struct PairedValues {
  size_t columns = 0;
  std::vector<double> values;
  size_t queries() const { return columns == 0 ? 0 : values.size() / columns; }
  // Mean of each column; NaN without queries.
  std::vector<double> Means() const;
};

// Paired bootstrap: in each draw queries are taken with replacement, as many as there are, each with all its columns.
// Returns the columns' means in each draw, [draws][columns]. Draw d uses SplitMix64(seed + d). Needs a query at least.
std::vector<double> BootstrapMeans(const PairedValues& paired, int draws, uint64_t seed, int threads);

// Two-sided p-value of "no difference" from the differences in the draws of a paired bootstrap (Efron and Tibshirani,
// An Introduction to the Bootstrap, 1993, ch. 15): twice the smaller share of draws on one side of 0, counting one draw
// more on each side, so that it is never 0. At most 1.
double BootstrapPValue(std::span<const double> differences);

// Holm's step-down correction (1979) of p-values that were looked at together, in their order.
std::vector<double> HolmAdjusted(std::span<const double> p_values);

// Ranks from 1; equal values share the mean of theirs.
std::vector<double> AverageRanks(std::span<const double> values);
// Spearman's rank correlation; NaN for fewer than 2 pairs or where one side does not vary.
double SpearmanCorrelation(std::span<const double> x, std::span<const double> y);
// 95% interval by Fisher's z with the variance (1 + rho^2 / 2) / (n - 3) of Bonett and Wright (Psychometrika 65, 2000);
// (-1, 1) for fewer than 4 pairs.
Interval SpearmanInterval(double rho, size_t pairs);

// Indexes of the points that no other point beats (as cheap and as good, and better in one of them), by rising cost.
// Lower is better in both; of equal points the first is taken.
std::vector<size_t> ParetoFront(std::span<const double> cost, std::span<const double> loss);

}  // namespace hullft
