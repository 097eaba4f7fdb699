// Random pools for property tests: the same on every platform.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "coordinator/select/select.h"

namespace hullft::select {

class Draw {
 public:
  explicit Draw(uint64_t seed) : state_(seed * 2654435761u + 88172645463325252ull) {}
  uint64_t Bits() {  // xorshift64 (Marsaglia, 2003)
    state_ ^= state_ << 13, state_ ^= state_ >> 7, state_ ^= state_ << 17;
    return state_;
  }
  double Uniform() { return static_cast<double>(Bits() >> 11) / 9007199254740992.0 * 2 - 1; }  // [-1, 1)
  int Below(int n) { return static_cast<int>((Bits() >> 33) % n); }

 private:
  uint64_t state_;
};

struct RandomPool {
  std::vector<float> rows, target;
  int k, d;
  // unit: rows and target of length 1, near a common direction, as sentence embeddings are.
  RandomPool(uint64_t seed, int k_in, int d_in, bool unit) : rows(k_in * d_in), target(d_in), k(k_in), d(d_in) {
    Draw draw(seed);
    for (float& value : rows) value = static_cast<float>(draw.Uniform() + (unit ? 0.5 : 0));
    for (float& value : target) value = static_cast<float>(draw.Uniform() + (unit ? 0.5 : 0));
    if (!unit) return;
    for (int i = 0; i <= k; ++i) {
      float* x = i < k ? &rows[i * d] : target.data();
      double square = 0;
      for (int j = 0; j < d; ++j) square += static_cast<double>(x[j]) * x[j];
      for (int j = 0; j < d; ++j) x[j] = static_cast<float>(x[j] / std::sqrt(square));
    }
  }
  Pool pool() const { return {rows, target, k, d}; }
};

}  // namespace hullft::select
