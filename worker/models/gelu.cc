#include "worker/models/gelu.h"

#include <algorithm>

#include "worker/finetune/vector_exp.h"

namespace hullft::worker {
namespace {

constexpr int64_t kBlock = 16384;  // elements that one thread takes at a time
constexpr float kTwoRootTwoOverPi = 1.5957691216057308F;
constexpr float kCubic = 0.044715F;

// 1 / (1 + exp(-t)), from exp of a number that is not positive.
HULLFT_INLINE float Sigmoid(float t) {
  const float e = Exp(t < 0 ? t : -t);
  return (t < 0 ? e : 1.0F) / (1.0F + e);
}

HULLFT_CLONES void Forward(const float* x, float* y, int64_t n) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) {
    const float v = x[i];
    y[i] = v * Sigmoid(kTwoRootTwoOverPi * (v + kCubic * v * v * v));
  }
}

HULLFT_CLONES void Backward(const float* x, float* gradient, int64_t n) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) {
    const float v = x[i];
    const float s = Sigmoid(kTwoRootTwoOverPi * (v + kCubic * v * v * v));
    const float slope = kTwoRootTwoOverPi * (1.0F + 3.0F * kCubic * v * v);
    gradient[i] *= s + v * s * (1.0F - s) * slope;
  }
}

}  // namespace

void GeluTanh(const float* x, float* y, int64_t n, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
  for (int64_t at = 0; at < n; at += kBlock) Forward(x + at, y + at, std::min(kBlock, n - at));
}

void GeluTanhBackward(const float* x, float* gradient, int64_t n, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
  for (int64_t at = 0; at < n; at += kBlock) Backward(x + at, gradient + at, std::min(kBlock, n - at));
}

}  // namespace hullft::worker
