#include "index/code_scan.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/error.h"
#include "common/simd.h"

namespace hullft::index {
namespace {

constexpr size_t kCacheLine = 64, kAhead = 8;  // rows

// The loop that a search's time goes into: 16 codes an instruction and more, memory's rate with AVX2.
HULLFT_CLONES void Scan(const int16_t* weights, size_t d, float scale, float offset, const uint8_t* codes, size_t n,
                        float* scores) {
  for (size_t i = 0; i < n; ++i, codes += d) {
    // Lists are shorter than what it takes the processor to see that memory is read in order.
    for (size_t line = 0; line < d; line += kCacheLine) __builtin_prefetch(codes + kAhead * d + line);
    int32_t sum = 0;
    for (size_t j = 0; j < d; ++j) sum += weights[j] * static_cast<int16_t>(codes[j]);
    scores[i] = offset + scale * static_cast<float>(sum);
  }
}

}  // namespace

CodeQuery MakeCodeQuery(std::span<const float> query, std::span<const float> trained) {
  const size_t d = query.size();
  HULLFT_CHECK(trained.size() == 2 * d);
  std::vector<double> weights(d);
  double offset = 0, largest = 0, all = 0;
  for (size_t j = 0; j < d; ++j) {
    weights[j] = static_cast<double>(query[j]) * trained[d + j] / 255;
    offset += static_cast<double>(query[j]) * trained[j] + weights[j] / 2;
    largest = std::max(largest, std::abs(weights[j]));
    all += std::abs(weights[j]);
  }
  CodeQuery made{std::vector<int16_t>(d, 0), 0, static_cast<float>(offset)};
  if (largest == 0) return made;
  // Rounding adds at most 1/2 to each whole number: hence d.
  const double most = std::numeric_limits<int32_t>::max() / 255.0 - static_cast<double>(d);
  const double steps = std::min(std::numeric_limits<int16_t>::max() / largest, most / all);
  HULLFT_CHECK(steps > 0);
  for (size_t j = 0; j < d; ++j) made.weights[j] = static_cast<int16_t>(std::lround(weights[j] * steps));
  made.scale = static_cast<float>(1 / steps);
  return made;
}

void ScoreCodes(const CodeQuery& query, float base, const uint8_t* codes, size_t n, float* scores) {
  Scan(query.weights.data(), query.weights.size(), query.scale, base + query.offset, codes, n, scores);
}

}  // namespace hullft::index
