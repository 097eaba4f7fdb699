#include "coordinator/select/kernels.h"

#include <gtest/gtest.h>

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
