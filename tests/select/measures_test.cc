// What a selection says of itself, against direct computations over the expanded multiset.
#include "coordinator/select/measures.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "coordinator/select/select.h"
#include "tests/select/oracle.h"
#include "tests/select/random_pool.h"

namespace hullft::select {
namespace {

double DirectRedundancy(const Pool& pool, const std::vector<int>& expanded) {
  double sum = 0;
  const size_t n = expanded.size();
  for (size_t a = 0; a < n; ++a) {
    for (size_t b = 0; b < n; ++b) {
      const Vector x = Row(pool, expanded[a]), y = Row(pool, expanded[b]);
      const double lengths = std::sqrt(Inner(x, x) * Inner(y, y));
      if (a != b && lengths > 0) sum += Inner(x, y) / lengths;
    }
  }
  return n > 1 ? sum / static_cast<double>(n * (n - 1)) : 0;
}

// f of the mean of the first n positions.
double DirectObjective(const Pool& pool, const std::vector<int>& expanded, size_t n) {
  Vector rho(pool.target.begin(), pool.target.end());
  for (size_t p = 0; p < n; ++p) {
    for (int j = 0; j < pool.d; ++j) rho[j] -= Row(pool, expanded[p])[j] / static_cast<double>(n);
  }
  return 0.5 * Inner(rho, rho);
}

constexpr Method kAll[] = {Method::kHullft, Method::kKnn, Method::kRandom, Method::kSift, Method::kMmr};

TEST(Measures, AreThoseOfTheExpandedMultiset) {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    Draw draw(seed + 77);
    RandomPool random(seed, 12 + draw.Below(20), 2 + draw.Below(20), seed % 2 == 0);
    if (seed % 5 == 0) std::fill_n(random.rows.begin(), random.d, 0.0f);  // a vector without a direction
    for (const Method method : kAll) {
      SCOPED_TRACE(MethodName(method) + ", seed " + std::to_string(seed));
      SelectOptions options;
      options.method = method;
      options.n = 1 + draw.Below(12);
      const Selection got = Select(random.pool(), options);
      const Measures& m = got.measures;
      EXPECT_EQ(m.support, static_cast<int>(got.support.size()));
      double squares = 0;
      int distinct = 0, largest = 0;
      for (const int row : got.support) {
        const auto count = static_cast<int>(std::count(got.expanded.begin(), got.expanded.end(), row));
        squares += std::pow(static_cast<double>(count) / options.n, 2);
        distinct += count > 0;
        largest = std::max(largest, count);
      }
      EXPECT_EQ(m.distinct, distinct);
      EXPECT_EQ(m.largest, largest);
      EXPECT_NEAR(m.effective, 1 / squares, 1e-9);
      EXPECT_NEAR(m.redundancy, DirectRedundancy(random.pool(), got.expanded), 1e-9);
      EXPECT_LE(m.redundancy, 1 + 1e-12);
      EXPECT_NEAR(m.rounding_loss, DirectObjective(random.pool(), got.expanded, got.expanded.size()) - got.objective,
                  1e-9);
    }
  }
}

TEST(Measures, OneSequenceOverAndOver) {
  const RandomPool random(3, 1, 5, true);
  const Selection got = Select(random.pool(), {.n = 7});
  EXPECT_EQ(got.measures.largest, 7);
  EXPECT_EQ(got.measures.distinct, 1);
  EXPECT_DOUBLE_EQ(got.measures.effective, 1);
  EXPECT_NEAR(got.measures.redundancy, 1, 1e-12);
}

TEST(Measures, ObjectivesOnTheWay) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const RandomPool random(seed, 40, 16, true);
    for (const Method method : kAll) {
      SelectOptions options;
      options.method = method;
      options.n = 9;
      options.trace = true;
      const Selection got = Select(random.pool(), options);
      if (method != Method::kHullft) {
        ASSERT_EQ(got.objectives.size(), 9u);
        EXPECT_TRUE(got.gaps.empty());
        for (size_t n = 1; n <= 9; ++n)
          EXPECT_NEAR(got.objectives[n - 1], DirectObjective(random.pool(), got.expanded, n), 1e-12);
        continue;
      }
      ASSERT_EQ(got.objectives.size(), static_cast<size_t>(got.iterations) + 1);
      ASSERT_EQ(got.gaps.size(), got.objectives.size());
      const Selection nearest = Select(random.pool(), {.method = Method::kKnn, .n = 1});
      EXPECT_NEAR(got.objectives.front(), nearest.objective, 1e-12) << "the path starts at the nearest";
      for (size_t i = 1; i < got.objectives.size(); ++i) {
        EXPECT_LE(got.objectives[i], got.objectives[i - 1] + 1e-12) << "update " << i;
        EXPECT_GE(got.gaps[i], -1e-12);
      }
      EXPECT_EQ(got.objectives.back(), got.objective);
      EXPECT_EQ(got.gaps.back(), got.gap);
    }
  }
}

}  // namespace
}  // namespace hullft::select
