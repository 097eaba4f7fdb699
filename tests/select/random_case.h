// Pools and targets that selections find hard, drawn from a number: the same on every platform.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "tests/select/random_pool.h"

namespace hullft::select {

struct RandomCase {
  enum Kind {
    kGeneral,     // no structure: no ties
    kUnit,        // as sentence embeddings are
    kDuplicates,  // rows that occur several times
    kLattice,     // small integers: exact ties
    kCollinear,   // rows on one line
    kFlat,        // rows in a plane
    kVertices,    // unit vectors, all symmetric to the target
    kOnPoint,     // the target is a row
    kInside,      // the target is a mixture of rows
    kFar,         // the target is far outside
    kAllEqual,    // one row over and over
    kNearTwins,   // rows that differ in the last bits of a float
    kZeros,       // some rows are 0
    kSmall,       // everything about 1e-3 long
    kLarge,       // everything about 1e3 long
    kKinds
  };

  explicit RandomCase(uint64_t number) : kind(static_cast<Kind>(number % kKinds)) {
    Draw draw(number + 1);
    for (int i = 0; i < 5; ++i) draw.Bits();  // numbers next to each other begin alike
    k = 1 + draw.Below(draw.Below(4) == 0 ? 40 : 12);
    d = 1 + draw.Below(draw.Below(4) == 0 ? 40 : 8);
    n = 1 + draw.Below(draw.Below(4) == 0 ? 30 : 8);
    const RandomPool random(draw.Bits(), k, d, kind == kUnit);
    rows = random.rows, target = random.target;
    Shape(&draw);
  }

  Pool pool() const { return {rows, target, k, d}; }
  // The longest squared length: rounding errors are shares of it.
  double Scale() const {
    double scale = 0;
    for (int i = 0; i <= k; ++i) {
      const float* x = i < k ? At(i) : target.data();
      double square = 0;
      for (int j = 0; j < d; ++j) square += static_cast<double>(x[j]) * x[j];
      scale = std::max(scale, square);
    }
    return scale;
  }

  Kind kind;
  int k = 0, d = 0, n = 0;
  std::vector<float> rows, target;

 private:
  const float* At(int i) const { return &rows[static_cast<size_t>(i) * static_cast<size_t>(d)]; }
  float* At(int i) { return &rows[static_cast<size_t>(i) * static_cast<size_t>(d)]; }
  void Copy(int from, int to) { std::copy_n(At(from), d, At(to)); }
  void Mix(float* out, const std::vector<double>& shares) const {
    for (int j = 0; j < d; ++j) {
      double sum = 0;
      for (int i = 0; i < k; ++i) sum += shares[static_cast<size_t>(i)] * At(i)[j];
      out[j] = static_cast<float>(sum);
    }
  }
  void Scatter(double factor) {
    for (float& value : rows) value = static_cast<float>(value * factor);
    for (float& value : target) value = static_cast<float>(value * factor);
  }

  void Shape(Draw* draw) {
    switch (kind) {
      case kDuplicates:
        for (int i = 0; i < k; ++i) Copy(draw->Below(k), i);
        break;
      case kLattice:
        for (float& value : rows) value = static_cast<float>(draw->Below(3) - 1);
        for (float& value : target) value = static_cast<float>(draw->Below(3) - 1);
        break;
      case kCollinear:
      case kFlat: {
        const std::vector<float> a(At(0), At(0) + d), b(At(k / 2), At(k / 2) + d), c(At(k - 1), At(k - 1) + d);
        for (int i = 0; i < k; ++i) {
          const double s = draw->Below(9) - 4, t = kind == kFlat ? draw->Below(9) - 4 : 0;
          for (int j = 0; j < d; ++j) {
            const auto l = static_cast<size_t>(j);
            At(i)[j] = static_cast<float>(a[l] + s * (b[l] - c[l]) + t * (c[l] + a[l]));
          }
        }
        break;
      }
      case kVertices:
        for (int i = 0; i < k; ++i) {
          for (int j = 0; j < d; ++j) At(i)[j] = j == i % d ? 1.0f : 0.0f;
        }
        std::fill(target.begin(), target.end(), draw->Below(2) == 0 ? 0.0f : 0.25f);
        break;
      case kOnPoint:
        std::copy_n(At(draw->Below(k)), d, target.data());
        break;
      case kInside: {
        std::vector<double> shares(static_cast<size_t>(k));
        double sum = 0;
        for (double& share : shares) sum += share = draw->Below(3) == 0 ? 0 : 1.0 + draw->Uniform();
        if (sum == 0) sum = shares[0] = 1;
        for (double& share : shares) share /= sum;
        Mix(target.data(), shares);
        break;
      }
      case kFar:
        for (float& value : target) value *= 30;
        break;
      case kAllEqual:
        for (int i = 1; i < k; ++i) Copy(0, i);
        break;
      case kNearTwins:
        for (int i = 1; i < k; ++i) {
          if (draw->Below(2) == 0) continue;
          Copy(i - 1, i);
          At(i)[draw->Below(d)] *= 1.0f + 0x1p-22f;
        }
        break;
      case kZeros:
        for (int i = 0; i < k; ++i) {
          if (draw->Below(3) == 0) std::fill_n(At(i), d, 0.0f);
        }
        break;
      case kSmall:
        Scatter(1e-3);
        break;
      case kLarge:
        Scatter(1e3);
        break;
      case kGeneral:
      case kUnit:
      case kKinds:
        break;
    }
  }
};

}  // namespace hullft::select
