#include "worker/finetune/adam.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "common/error.h"
#include "common/simd.h"

namespace hullft::worker {
namespace {

// Elements one thread takes at a time (512 KiB of four arrays), and elements that take all steps of a run before the
// next ones do (8 KiB of four arrays: they stay in the first-level cache, so memory sees one pass).
constexpr int64_t kBlock = 32768;
constexpr int64_t kStrip = 512;

struct Constants {
  float one_minus_beta1, beta2, one_minus_beta2, epsilon;
};

struct StepConstants {
  float step_size, inverse_sqrt_bias2;
};

template <bool kFirst>
HULLFT_INLINE void Step(const Constants& c, const StepConstants& step, const float* source, float* weights, float* m,
                        float* v, const float* gradient, int64_t n) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) {
    const float g = gradient[i];
    const float m0 = kFirst ? 0.0F : m[i], v0 = kFirst ? 0.0F : v[i];
    const float m1 = m0 + c.one_minus_beta1 * (g - m0);
    const float v1 = v0 * c.beta2 + (c.one_minus_beta2 * g) * g;
    const float denominator = std::sqrt(v1) * step.inverse_sqrt_bias2 + c.epsilon;
    m[i] = m1;
    v[i] = v1;
    weights[i] = source[i] - step.step_size * m1 / denominator;
  }
}

// All steps of a run on one block.
HULLFT_CLONES void RunBlock(const Constants& c, const StepConstants* steps, int count, bool first, const float* source,
                            float* weights, float* m, float* v, const float* gradient, int64_t size) {
  for (int64_t at = 0; at < size; at += kStrip) {
    const int64_t n = std::min(kStrip, size - at);
    if (first) {
      Step<true>(c, steps[0], source + at, weights + at, m + at, v + at, gradient + at, n);
    } else {
      Step<false>(c, steps[0], source + at, weights + at, m + at, v + at, gradient + at, n);
    }
    for (int s = 1; s < count; ++s) {
      Step<false>(c, steps[s], weights + at, weights + at, m + at, v + at, gradient + at, n);
    }
  }
}

HULLFT_CLONES double SumOfSquares(const float* x, int64_t size) {
  constexpr int kLanes = 16;
  double lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    for (int k = 0; k < kLanes; ++k) lanes[k] += static_cast<double>(x[i + k]) * static_cast<double>(x[i + k]);
  }
  for (int k = 0; i < size; ++i, ++k) lanes[k] += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

struct Block {
  const AdamSegment* segment;
  int64_t begin, size;
};

std::vector<Block> CutIntoBlocks(std::span<const AdamSegment> segments) {
  std::vector<Block> blocks;
  for (const AdamSegment& segment : segments) {
    for (int64_t at = 0; at < segment.size; at += kBlock) {
      blocks.push_back({&segment, at, std::min(kBlock, segment.size - at)});
    }
  }
  return blocks;
}

}  // namespace

void AdamRun(const AdamSettings& settings, int64_t steps_done, int steps, std::span<const AdamSegment> segments,
             int threads) {
  HULLFT_CHECK(steps >= 1 && steps_done >= 0 && threads >= 1);
  const Constants constants = {static_cast<float>(1 - settings.beta1), static_cast<float>(settings.beta2),
                               static_cast<float>(1 - settings.beta2), static_cast<float>(settings.epsilon)};
  std::vector<StepConstants> per_step;
  for (int s = 1; s <= steps; ++s) {
    const auto t = static_cast<double>(steps_done + s);
    const double bias1 = 1 - std::pow(settings.beta1, t), bias2 = 1 - std::pow(settings.beta2, t);
    per_step.push_back({static_cast<float>(settings.learning_rate / bias1), static_cast<float>(1 / std::sqrt(bias2))});
  }
  const std::vector<Block> blocks = CutIntoBlocks(segments);
  const auto n = static_cast<int64_t>(blocks.size());
#pragma omp parallel for schedule(static) num_threads(threads)
  for (int64_t b = 0; b < n; ++b) {
    const AdamSegment& s = *blocks[b].segment;
    const int64_t at = blocks[b].begin;
    RunBlock(constants, per_step.data(), steps, steps_done == 0, s.source + at, s.weights + at, s.m + at, s.v + at,
             s.gradient + at, blocks[b].size);
  }
}

double GradientNorm(std::span<const AdamSegment> segments, int threads) {
  const std::vector<Block> blocks = CutIntoBlocks(segments);
  const auto n = static_cast<int64_t>(blocks.size());
  std::vector<double> sums(blocks.size());
#pragma omp parallel for schedule(static) num_threads(threads)
  for (int64_t b = 0; b < n; ++b) sums[b] = SumOfSquares(blocks[b].segment->gradient + blocks[b].begin, blocks[b].size);
  double total = 0;
  for (const double sum : sums) total += sum;
  return std::sqrt(total);
}

}  // namespace hullft::worker
