#include "coordinator/select/kernels.h"

#include <gtest/gtest.h>

#include <cmath>

#include "common/parallel.h"
#include "tests/select/random_pool.h"

namespace hullft::select {
namespace {

// The definition in kernels.h, one addition at a time. volatile keeps the compiler from fusing or reordering.
template <class T>
double LaneByLane(const T* a, const double* b, int d) {
  volatile double lane[kLanes] = {};
  for (int i = 0; i < d; ++i) {
    volatile double product = static_cast<double>(a[i]) * b[i];
    lane[i % kLanes] = lane[i % kLanes] + product;
  }
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int l = 0; l < half; ++l) lane[l] = lane[l] + lane[l + half];
  }
  return lane[0];
}

TEST(Kernels, EveryInstructionSetGivesTheSameBits) {
  for (const Kernels* kernels : SupportedKernels()) {
    SCOPED_TRACE(kernels->name);
    std::vector<int> widths{384, 768, 1024, 1000};
    for (int d = 1; d <= 70; ++d) widths.push_back(d);
    for (const int d : widths) {
      const RandomPool random(d, 9, d, false);
      std::vector<double> vector(d), wide(d), out(random.k);
      Draw draw(d + 5);
      for (double& value : vector) value = draw.Uniform() * 3;
      kernels->row_dots(random.rows.data(), random.k, d, vector.data(), out.data());
      for (int i = 0; i < random.k; ++i) {
        ASSERT_EQ(out[i], LaneByLane(&random.rows[i * d], vector.data(), d)) << "row " << i << ", width " << d;
      }
      for (int j = 0; j < d; ++j) wide[j] = draw.Uniform();
      ASSERT_EQ(kernels->dot(wide.data(), vector.data(), d), LaneByLane(wide.data(), vector.data(), d)) << d;
    }
  }
}

TEST(Kernels, GramColumnsAreRowDotsOfFloats) {
  for (const Kernels* kernels : SupportedKernels()) {
    SCOPED_TRACE(kernels->name);
    for (const int d : {1, 7, 15, 16, 17, 40, 384, 389}) {
      for (const int k : {1, 2, 3, 4, 5, 9}) {
        const RandomPool random(d, k, d, false);
        std::vector<double> vectors[kColumnsAtOnce], columns[kColumnsAtOnce];
        const double* v[kColumnsAtOnce];
        double* out[kColumnsAtOnce];
        for (int c = 0; c < kColumnsAtOnce; ++c) {
          vectors[c].assign(random.target.begin(), random.target.end());
          for (int j = c; j < d && c > 0; ++j) vectors[c][j] = random.rows[j] * (j % 3 == c % 3 ? -1e-20f : 1e10f);
          columns[c].resize(k);
          v[c] = vectors[c].data(), out[c] = columns[c].data();
        }
        for (int count = 1; count <= kColumnsAtOnce; ++count) {
          for (std::vector<double>& column : columns) std::fill(column.begin(), column.end(), NAN);
          kernels->gram_columns(random.rows.data(), k, d, v, count, out);
          for (int c = 0; c < count; ++c) {
            for (int i = 0; i < k; ++i) {
              ASSERT_EQ(columns[c][i], LaneByLane(&random.rows[i * d], v[c], d))
                  << "column " << c << " of " << count << ", row " << i << ", width " << d;
            }
          }
        }
      }
    }
  }
}

TEST(Kernels, ElementwiseLoopsRoundEveryOperation) {
  for (const Kernels* kernels : SupportedKernels()) {
    SCOPED_TRACE(kernels->name);
    for (int d = 1; d <= 70; ++d) {
      const RandomPool random(d, 1, d, false);
      std::vector<double> sum(d), blended(d), other(d);
      Draw draw(d);
      for (int j = 0; j < d; ++j) sum[j] = blended[j] = draw.Uniform(), other[j] = draw.Uniform();
      const std::vector<double> before = sum;
      kernels->add_scaled(0.1, random.rows.data(), d, sum.data());
      kernels->blend(0.7, -0.3, other.data(), d, blended.data());
      for (int j = 0; j < d; ++j) {
        volatile double product = 0.1 * random.rows[j], kept = 0.7 * before[j], added = -0.3 * other[j];
        ASSERT_EQ(sum[j], before[j] + product) << j << " of " << d;
        ASSERT_EQ(blended[j], kept + added) << j << " of " << d;
      }
    }
  }
}

TEST(Kernels, LargestDifferenceIsTheFirst) {
  for (const Kernels* kernels : SupportedKernels()) {
    SCOPED_TRACE(kernels->name);
    for (int k = 1; k <= 150; ++k) {
      Draw draw(k);
      std::vector<double> a(k), b(k);
      for (int i = 0; i < k; ++i) a[i] = draw.Below(5), b[i] = draw.Below(3);  // many ties
      int want = 0;
      for (int i = 1; i < k; ++i) {
        if (a[i] - b[i] > a[want] - b[want]) want = i;
      }
      ASSERT_EQ(kernels->largest_difference(a.data(), b.data(), k), want) << k;
      a[k / 2] = INFINITY, b[k - 1] = INFINITY;  // what huge rows may overflow to
      ASSERT_EQ(kernels->largest_difference(a.data(), b.data(), k),
                k > 2 ? k / 2 : kernels->largest_difference(a.data(), b.data(), k));
    }
  }
}

TEST(Kernels, SelectionIsTheSameOnAnyThreadCount) {
  constexpr int kQueries = 24;
  std::vector<Selection> alone(kQueries), together(kQueries);
  const auto run = [](std::vector<Selection>* out, int threads) {
    ParallelFor(kQueries, threads, [&](int64_t q) {
      const RandomPool random(q, 60, 40, true);
      (*out)[q] = Select(random.pool(), {});
    });
  };
  run(&alone, 1);
  run(&together, 4);
  for (int q = 0; q < kQueries; ++q) {
    EXPECT_EQ(alone[q].support, together[q].support);
    EXPECT_EQ(alone[q].weights, together[q].weights);
    EXPECT_EQ(alone[q].counts, together[q].counts);
    EXPECT_EQ(alone[q].gap, together[q].gap);
  }
}

}  // namespace
}  // namespace hullft::select
