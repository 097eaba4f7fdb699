#include "worker/finetune/row_softmax.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "worker/finetune/vector_exp.h"

namespace hullft::worker {
namespace {

constexpr int64_t kSpan = 512;  // columns summed in float
constexpr int kLanes = 16;

// NaN anywhere in the row must come out as NaN: a comparison would lose it, the sum of exponentials does not.
HULLFT_INLINE float Maximum(const float* row, int64_t V) {
  float lanes[kLanes];
  for (float& lane : lanes) lane = row[0];
  int64_t i = 0;
  for (; i + kLanes <= V; i += kLanes) {
    for (int k = 0; k < kLanes; ++k) lanes[k] = row[i + k] > lanes[k] ? row[i + k] : lanes[k];
  }
  for (; i < V; ++i) lanes[0] = row[i] > lanes[0] ? row[i] : lanes[0];
  return *std::max_element(lanes, lanes + kLanes);
}

// Sum of exp(row - maximum); the exponentials replace a row that is not const.
template <class T>
HULLFT_INLINE double SumExp(T* row, int64_t V, float maximum) {
  double sum = 0;
  for (int64_t at = 0; at < V; at += kSpan) {
    const int64_t end = std::min(V, at + kSpan);
    float lanes[kLanes] = {};
    int64_t i = at;
    for (; i + kLanes <= end; i += kLanes) {
      for (int k = 0; k < kLanes; ++k) {
        const float e = Exp(row[i + k] - maximum);
        if constexpr (!std::is_const_v<T>) row[i + k] = e;
        lanes[k] += e;
      }
    }
    for (int k = 0; i < end; ++i, ++k) {
      const float e = Exp(row[i] - maximum);
      if constexpr (!std::is_const_v<T>) row[i] = e;
      lanes[k] += e;
    }
    float total = 0;
    for (const float lane : lanes) total += lane;
    sum += total;
  }
  return sum;
}

HULLFT_CLONES double LogProbability(const float* row, int64_t V, int32_t target) {
  const float maximum = Maximum(row, V);
  const double sum = SumExp(row, V, maximum);
  return static_cast<double>(row[target]) - static_cast<double>(maximum) - std::log(sum);
}

HULLFT_CLONES double CrossEntropy(float* row, int64_t V, int32_t target, float scale) {
  const float maximum = Maximum(row, V);
  const double correct = static_cast<double>(row[target]) - static_cast<double>(maximum);
  const double sum = SumExp(row, V, maximum);
  const auto factor = static_cast<float>(static_cast<double>(scale) / sum);
  for (int64_t i = 0; i < V; ++i) row[i] *= factor;
  row[target] -= scale;
  return correct - std::log(sum);
}

}  // namespace

void LogProbabilityRows(const float* logits, int64_t n, int64_t V, const int32_t* targets, double* log_probabilities,
                        int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
  for (int64_t i = 0; i < n; ++i) log_probabilities[i] = LogProbability(logits + i * V, V, targets[i]);
}

void CrossEntropyRows(float* logits, int64_t n, int64_t V, const int32_t* targets, float scale,
                      double* log_probabilities, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
  for (int64_t i = 0; i < n; ++i) log_probabilities[i] = CrossEntropy(logits + i * V, V, targets[i], scale);
}

}  // namespace hullft::worker
