#include "common/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "common/error.h"
#include "common/parallel.h"

namespace hullft {
namespace {
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kNormal975 = 1.959963984540054;  // 97.5% quantile of the standard normal distribution

// A number that is none comes last, beside its like. Without it the order is none: sorting may leave the array, and
// ranks are never through. Journals that somebody else made lead to such numbers (infinity less infinity).
bool Before(double a, double b) {
  return a < b || (std::isnan(b) && !std::isnan(a));
}
bool Tie(double a, double b) {
  return a == b || (std::isnan(a) && std::isnan(b));
}

}  // namespace

uint64_t SplitMix64::Next() {
  uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

uint64_t SplitMix64::Below(uint64_t n) {
  return ((Next() >> 32) * n) >> 32;
}

double Quantile(std::span<const double> sorted, double q) {
  if (sorted.empty()) return kNaN;
  const double place = q * static_cast<double>(sorted.size() - 1);
  const auto low = static_cast<size_t>(place);
  const size_t high = std::min(low + 1, sorted.size() - 1);
  return sorted[low] + (place - static_cast<double>(low)) * (sorted[high] - sorted[low]);
}

Interval Middle95(std::vector<double> values) {
  std::ranges::sort(values, Before);
  return {Quantile(values, 0.025), Quantile(values, 0.975)};
}

std::vector<double> PairedValues::Means() const {
  std::vector<double> means(columns, 0.0);
  for (size_t i = 0; i < values.size(); ++i) means[i % columns] += values[i];
  for (double& mean : means) mean /= static_cast<double>(queries());
  return means;
}

std::vector<double> BootstrapMeans(const PairedValues& paired, int draws, uint64_t seed, int threads) {
  const size_t queries = paired.queries(), columns = paired.columns;
  HULLFT_CHECK(queries > 0 && queries <= std::numeric_limits<uint32_t>::max());
  std::vector<double> means(static_cast<size_t>(draws) * columns, 0.0);
  ParallelFor(draws, threads, [&](int64_t draw) {
    SplitMix64 random(seed + static_cast<uint64_t>(draw));
    double* sums = means.data() + static_cast<size_t>(draw) * columns;
    for (size_t i = 0; i < queries; ++i) {
      const double* row = paired.values.data() + random.Below(queries) * columns;
      for (size_t c = 0; c < columns; ++c) sums[c] += row[c];
    }
    for (size_t c = 0; c < columns; ++c) sums[c] /= static_cast<double>(queries);
  });
  return means;
}

double BootstrapPValue(std::span<const double> differences) {
  const auto not_above = std::ranges::count_if(differences, [](double d) { return d <= 0; });
  const auto not_below = std::ranges::count_if(differences, [](double d) { return d >= 0; });
  const auto fewer = static_cast<double>(std::min(not_above, not_below) + 1);
  return std::min(1.0, 2 * fewer / static_cast<double>(differences.size() + 1));
}

std::vector<double> HolmAdjusted(std::span<const double> p_values) {
  std::vector<size_t> order(p_values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, {}, [&](size_t i) { return p_values[i]; });
  std::vector<double> adjusted(p_values.size());
  double least = 0;
  for (size_t k = 0; k < order.size(); ++k) {
    least = std::max(least, std::min(1.0, static_cast<double>(order.size() - k) * p_values[order[k]]));
    adjusted[order[k]] = least;
  }
  return adjusted;
}

std::vector<double> AverageRanks(std::span<const double> values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, Before, [&](size_t i) { return values[i]; });
  std::vector<double> ranks(values.size());
  for (size_t begin = 0; begin < order.size();) {
    size_t end = begin;
    while (end < order.size() && Tie(values[order[end]], values[order[begin]])) ++end;
    for (size_t k = begin; k < end; ++k) ranks[order[k]] = static_cast<double>(begin + 1 + end) / 2;
    begin = end;
  }
  return ranks;
}

double SpearmanCorrelation(std::span<const double> x, std::span<const double> y) {
  HULLFT_CHECK(x.size() == y.size());
  const std::vector<double> rank_x = AverageRanks(x), rank_y = AverageRanks(y);
  const double mean = (static_cast<double>(x.size()) + 1) / 2;
  double xx = 0, yy = 0, xy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double dx = rank_x[i] - mean, dy = rank_y[i] - mean;
    xx += dx * dx, yy += dy * dy, xy += dx * dy;
  }
  return xx > 0 && yy > 0 ? xy / std::sqrt(xx * yy) : kNaN;
}

Interval SpearmanInterval(double rho, size_t pairs) {
  if (pairs < 4 || std::isnan(rho)) return {-1, 1};
  if (std::abs(rho) >= 1) return {rho, rho};
  const double z = std::atanh(rho);
  const double width = kNormal975 * std::sqrt((1 + rho * rho / 2) / static_cast<double>(pairs - 3));
  return {std::tanh(z - width), std::tanh(z + width)};
}

std::vector<size_t> ParetoFront(std::span<const double> cost, std::span<const double> loss) {
  HULLFT_CHECK(cost.size() == loss.size());
  std::vector<size_t> order(cost.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(
      order, [&](size_t a, size_t b) { return cost[a] != cost[b] ? cost[a] < cost[b] : loss[a] < loss[b]; });
  std::vector<size_t> front;
  for (const size_t i : order) {
    if (front.empty() || loss[i] < loss[front.back()]) front.push_back(i);
  }
  return front;
}

}  // namespace hullft
