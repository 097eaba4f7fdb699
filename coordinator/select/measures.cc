#include "coordinator/select/measures.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace hullft::select {
namespace {

// From the squared length of the sum of all unit vectors, and how many of them there are.
double MeanPair(double sum_sq, double units, std::span<const int> counts) {
  const double n = std::accumulate(counts.begin(), counts.end(), 0.0);
  return n > 1 ? (sum_sq - units) / (n * (n - 1)) : 0.0;
}

}  // namespace

Measures CountMeasures(std::span<const int> counts) {
  Measures measures;
  measures.support = static_cast<int>(counts.size());
  double sum = 0, squares = 0;
  for (const int count : counts) {
    measures.distinct += count > 0;
    measures.largest = std::max(measures.largest, count);
    sum += count;
    squares += static_cast<double>(count) * count;
  }
  if (squares > 0) measures.effective = sum * sum / squares;
  return measures;
}

double RedundancyOfGram(std::span<const double> gram, std::span<const int> counts) {
  const size_t m = counts.size();
  std::vector<double> scale(m);  // count / length
  double units = 0, sum_sq = 0;
  for (size_t i = 0; i < m; ++i) {
    const double square = gram[i * m + i];
    scale[i] = square > 0 ? counts[i] / std::sqrt(square) : 0.0;
    if (square > 0) units += counts[i];
  }
  for (size_t i = 0; i < m; ++i) {
    double row = 0;
    for (size_t j = 0; j < m; ++j) row += scale[j] * gram[i * m + j];
    sum_sq += scale[i] * row;
  }
  return MeanPair(sum_sq, units, counts);
}

double RedundancyOfRows(std::span<const float> rows, int d, std::span<const int> support, std::span<const int> counts) {
  std::vector<double> sum(d, 0.0);
  double units = 0, sum_sq = 0;
  for (size_t i = 0; i < support.size(); ++i) {
    const auto x = rows.subspan(static_cast<size_t>(support[i]) * d, d);
    double square = 0;
    for (const float value : x) square += static_cast<double>(value) * value;
    if (!(square > 0)) continue;
    units += counts[i];
    const double scale = counts[i] / std::sqrt(square);
    for (int j = 0; j < d; ++j) sum[j] += scale * x[j];
  }
  for (const double value : sum) sum_sq += value * value;
  return MeanPair(sum_sq, units, counts);
}

}  // namespace hullft::select
