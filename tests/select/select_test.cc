// What Select promises of any input: errors that name the place, and results that fit together.
#include "coordinator/select/select.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "common/error.h"
#include "common/parallel.h"
#include "coordinator/select/gram_columns.h"
#include "tests/caught.h"
#include "tests/select/random_pool.h"

namespace hullft::select {
namespace {
using ::testing::HasSubstr;

constexpr Method kAll[] = {Method::kHullft, Method::kKnn, Method::kRandom, Method::kSift, Method::kMmr};

SelectOptions With(Method method, int n) {
  SelectOptions options;
  options.method = method;
  options.n = n;
  return options;
}

TEST(Select, NotFiniteNamesRowAndColumn) {
  for (const Method method : kAll) {
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), INFINITY, -INFINITY}) {
      RandomPool random(1, 10, 20, true);
      random.target[19] = 0;  // 0 times infinity must be seen as well
      random.rows[7 * 20 + 19] = bad;
      ExpectFault(Code::kData, "pool row 7 is not finite: column 19", [&] { Select(random.pool(), With(method, 3)); });
      random.target[4] = bad;
      ExpectFault(Code::kData, "the target is not finite: column 4", [&] { Select(random.pool(), With(method, 3)); });
    }
  }
}

TEST(Select, HugeFiniteValuesAreNotMistakenForInfinity) {
  RandomPool random(1, 5, 4, false);
  for (float& value : random.rows) value *= 1e38f;
  for (float& value : random.target) value *= 1e38f;
  EXPECT_EQ(Select(random.pool(), With(Method::kHullft, 3)).expanded.size(), 3u);
}

TEST(Select, Sizes) {
  const RandomPool random(1, 10, 20, true);
  Pool pool = random.pool();
  pool.k = 0;
  ExpectFault(Code::kData, "the pool is empty", [&] { Select(pool, {}); });
  pool = random.pool();
  pool.target = pool.target.first(19);
  ExpectFault(Code::kData, "width 19", [&] { Select(pool, {}); });
  pool = random.pool();
  pool.rows = pool.rows.first(199);
  ExpectFault(Code::kData, "needs 200 values, there are 199", [&] { Select(pool, {}); });
  for (const Method method : {Method::kKnn, Method::kRandom, Method::kMmr}) {
    ExpectFault(Code::kUsage, "n = 11 but the pool holds 10", [&] { Select(random.pool(), With(method, 11)); });
  }
}

TEST(Select, OptionsListAllFaults) {
  SelectOptions options;
  EXPECT_EQ(options.Validate(), "");
  options.n = 0, options.max_iter = -1, options.tol = NAN, options.swap_passes = -2, options.sift_lambda = 0;
  options.mmr_lambda = 1.5, options.gap_tol = -1e-9, options.max_support = -3, options.exact_nodes = -4;
  for (const char* field : {"n is 0", "max_iter is -1", "tol is nan", "swap_passes is -2", "sift_lambda is 0",
                            "mmr_lambda is 1.5", "gap_tol is -1e-09", "max_support is -3", "exact_nodes is -4"}) {
    EXPECT_THAT(options.Validate(), HasSubstr(field));
  }
  const RandomPool random(1, 10, 20, true);
  ExpectFault(Code::kUsage, "max_iter", [&] { Select(random.pool(), options); });
  for (const double bad : std::initializer_list<double>{-1e-5, -INFINITY, INFINITY, NAN}) {
    SelectOptions tolerance, gap;
    tolerance.tol = gap.gap_tol = bad;
    ExpectFault(Code::kUsage, fmt::format("tol is {}, it must be 0 or more", bad),
                [&] { Select(random.pool(), tolerance); });
    ExpectFault(Code::kUsage, fmt::format("gap_tol is {}, it must be 0 or more", bad),
                [&] { Select(random.pool(), gap); });
  }
}

TEST(Select, MethodNames) {
  for (const Method method : kAll) EXPECT_EQ(MethodFromName(MethodName(method)), method);
  ExpectFault(Code::kUsage, "did you mean 'hullft'", [] { MethodFromName("hulft"); });
}

TEST(Select, PartsFitTogether) {
  for (const Method method : kAll) {
    for (uint64_t seed = 0; seed < 10; ++seed) {
      const RandomPool random(seed, 30, 16, true);
      const Selection got = Select(random.pool(), With(method, 12), "key");
      ASSERT_EQ(got.support.size(), got.counts.size());
      ASSERT_EQ(got.support.size(), got.weights.size());
      EXPECT_EQ(got.expanded.size(), 12u);
      for (size_t i = 0; i < got.support.size(); ++i) {
        EXPECT_EQ(std::count(got.expanded.begin(), got.expanded.end(), got.support[i]), got.counts[i]);
      }
      EXPECT_NEAR(got.objective, 0.5 * got.residual_norm * got.residual_norm, 1e-15);
      EXPECT_EQ(got.stop.empty(), method != Method::kHullft);
    }
  }
}

TEST(Select, ExactRounding) {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const RandomPool random(seed, 40, 16, true);
    SelectOptions options = With(Method::kHullft, 12);
    EXPECT_FALSE(Select(random.pool(), options).measures.rounding_gap);
    options.exact_nodes = 1000000;
    const Selection geometry = Select(random.pool(), options);
    options.rounding = Rounding::kExact;
    const Selection exact = Select(random.pool(), options);
    ASSERT_TRUE(geometry.measures.rounding_gap && exact.measures.rounding_gap);
    EXPECT_EQ(*exact.measures.rounding_gap, 0);
    const auto square = [](double x) { return x * x; };
    EXPECT_NEAR(0.5 * square(geometry.rounded_residual_norm) - 0.5 * square(exact.rounded_residual_norm),
                *geometry.measures.rounding_gap, 1e-13);
    options.exact_nodes = 2;
    ExpectFault(Code::kUsage, "to N = 12 was not finished after 2 nodes", [&] { Select(random.pool(), options); });
  }
}

// Targets that share a pool's Gram columns, on several threads and with room for all columns or a few.
TEST(Select, SharedColumnsChangeNothing) {
  constexpr int kTargets = 60;
  const RandomPool random(9, 80, 24, true), targets(10, kTargets, 24, true);
  for (const int room : {80, 7}) {
    SharedColumns columns(random.k, room);
    std::vector<Selection> together(kTargets);
    const auto pool = [&](int64_t q, SharedColumns* shared) {
      const auto row = static_cast<size_t>(q) * 24;
      return Pool{random.rows, std::span(targets.rows).subspan(row, 24), random.k, random.d, shared};
    };
    SelectOptions options = With(Method::kHullft, 10);
    options.max_support = 6;
    options.variant = room == 7 ? Variant::kCorrective : Variant::kReference;
    ParallelFor(kTargets, 4, [&](int64_t q) { together[static_cast<size_t>(q)] = Select(pool(q, &columns), options); });
    for (int q = 0; q < kTargets; ++q) {
      const Selection alone = Select(pool(q, nullptr), options);
      EXPECT_EQ(together[static_cast<size_t>(q)].support, alone.support);
      EXPECT_EQ(together[static_cast<size_t>(q)].weights, alone.weights);
      EXPECT_EQ(together[static_cast<size_t>(q)].gap, alone.gap);
      EXPECT_GT(alone.support.size(), 1u);
    }
  }
}

// HullFT minimises the distance to the target, so no other method gets nearer before rounding.
TEST(Select, HullftIsNearest) {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const RandomPool random(seed, 60, 32, true);
    SelectOptions options = With(Method::kHullft, 60);
    options.max_iter = 2000;
    const Selection hull = Select(random.pool(), options);
    for (const Method method : {Method::kKnn, Method::kRandom, Method::kSift, Method::kMmr}) {
      EXPECT_GE(Select(random.pool(), With(method, 20)).objective, hull.objective - hull.gap);
    }
  }
}

}  // namespace
}  // namespace hullft::select
