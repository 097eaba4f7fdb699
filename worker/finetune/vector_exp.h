// The exponential that vectorised loops use.
#pragma once

#include <bit>
#include <cstdint>

#include "common/simd.h"

namespace hullft::worker {

// exp(x) for x <= 0: range reduction by ln 2 in two parts and the polynomial of Cephes expf (S. Moshier). Below -80 it
// gives exp(-80) = 2e-35, nothing beside 1, and free of slow subnormal numbers. NaN gives NaN.
HULLFT_INLINE float Exp(float x) {
  x = x < -80.0F ? -80.0F : x;
  constexpr float kRound = 12582912.0F;  // 1.5 * 2^23: adding it rounds to an integer
  const float shifted = x * 1.44269504088896341F + kRound;
  const float k = shifted - kRound;
  const float r = (x - k * 0.693359375F) - k * -2.12194440e-4F;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * r * r + r + 1.0F;
  const uint32_t exponent = (std::bit_cast<uint32_t>(shifted) + 127U) << 23U;  // low bits of shifted hold k
  return p * std::bit_cast<float>(exponent);
}

}  // namespace hullft::worker
