// Pools with one right answer, for every method and every variant of HullFT: one sequence, a target that is a sequence,
// sequences that are all equal.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <numeric>

#include "coordinator/select/select.h"
#include "tests/select/oracle.h"
#include "tests/select/random_pool.h"

namespace hullft::select {
namespace {
using ::testing::Each;

// Every way to choose n of a pool of k: all methods that can, HullFT with all variants and roundings.
void ForWays(int k, int n, const std::function<void(const SelectOptions&)>& check) {
  for (const Method method : {Method::kKnn, Method::kRandom, Method::kSift, Method::kMmr}) {
    SelectOptions options{.method = method, .n = n};
    if (TakesEachOnce(method) && n > k) continue;
    SCOPED_TRACE(MethodName(method));
    check(options);
  }
  for (const Variant variant : {Variant::kReference, Variant::kAway, Variant::kPairwise, Variant::kCorrective}) {
    for (const Rounding rounding : {Rounding::kGeometry, Rounding::kRemainder, Rounding::kExact}) {
      SelectOptions options{.n = n};
      options.variant = variant, options.rounding = rounding, options.exact_nodes = 1000000;
      SCOPED_TRACE(VariantName(variant) + ", rounding " + std::to_string(static_cast<int>(rounding)));
      check(options);
    }
  }
}

// What holds of any selection.
void ExpectSound(const Selection& got, const Pool& pool, int n) {
  EXPECT_EQ(std::accumulate(got.counts.begin(), got.counts.end(), 0), n);
  EXPECT_EQ(got.expanded.size(), static_cast<size_t>(n));
  EXPECT_THAT(got.expanded, Each(::testing::AllOf(::testing::Ge(0), ::testing::Lt(pool.k))));
  EXPECT_NEAR(std::accumulate(got.weights.begin(), got.weights.end(), 0.0), 1, 1e-12);
  for (const double value : {got.objective, got.gap, got.residual_norm, got.rounded_residual_norm,
                             got.measures.effective, got.measures.redundancy, got.measures.rounding_loss}) {
    EXPECT_TRUE(std::isfinite(value));
  }
  EXPECT_GE(got.gap, 0);
}

// One sequence: itself, N times.
void ExpectOnly(int row, const Selection& got, const Pool& pool, int n) {
  ExpectSound(got, pool, n);
  EXPECT_THAT(got.expanded, Each(row));
  const Vector apart = Minus({pool.target.begin(), pool.target.end()}, Row(pool, row));
  EXPECT_NEAR(got.objective, 0.5 * Inner(apart, apart), 1e-14);
  EXPECT_NEAR(got.rounded_residual_norm, std::sqrt(Inner(apart, apart)), 1e-7);
  EXPECT_EQ(got.measures.distinct, 1);
  EXPECT_EQ(got.measures.largest, n);
}

TEST(Degenerate, APoolOfOneSequence) {
  const RandomPool random(1, 1, 5, true);
  RandomPool same = random;
  same.target = same.rows;
  for (const RandomPool& one : {random, same}) {
    for (const int n : {1, 4}) {
      ForWays(1, n, [&](const SelectOptions& options) {
        const Selection got = Select(one.pool(), options, "key");
        ExpectOnly(0, got, one.pool(), n);
        EXPECT_NEAR(got.gap, 0, 1e-15);
      });
    }
  }
}

TEST(Degenerate, ATargetThatIsASequence) {
  for (uint64_t seed = 0; seed < 8; ++seed) {
    RandomPool random(seed, 12, 16, true);
    const int place = static_cast<int>(seed) + 2;
    std::copy_n(&random.rows[static_cast<size_t>(place) * 16], 16, random.target.data());
    ForWays(12, 6, [&](const SelectOptions& options) {
      const Selection got = Select(random.pool(), options, "key");
      ExpectSound(got, random.pool(), 6);
      if (options.method == Method::kHullft) {
        ExpectOnly(place, got, random.pool(), 6);
        EXPECT_EQ(got.objective, 0);
        EXPECT_EQ(got.stop, "tol");
      } else if (options.method != Method::kRandom) {
        EXPECT_EQ(got.expanded[0], place) << "the nearest comes first";
      }
    });
  }
}

// The lowest rows, as ties go to them.
TEST(Degenerate, AllSequencesEqual) {
  for (uint64_t seed = 0; seed < 8; ++seed) {
    RandomPool random(seed, 9, 16, true);
    for (size_t i = 1; i < 9; ++i) std::copy_n(random.rows.data(), 16, &random.rows[i * 16]);
    ForWays(9, 5, [&](const SelectOptions& options) {
      const Selection got = Select(random.pool(), options, "key");
      ExpectSound(got, random.pool(), 5);
      EXPECT_NEAR(got.measures.redundancy, 1, 1e-6);
      const Vector apart = Minus({random.target.begin(), random.target.end()}, Row(random.pool(), 0));
      EXPECT_NEAR(got.residual_norm, std::sqrt(Inner(apart, apart)), 1e-14);
      if (!TakesEachOnce(options.method)) return ExpectOnly(0, got, random.pool(), 5);
      EXPECT_EQ(got.measures.distinct, 5);
      if (options.method == Method::kRandom) return;
      EXPECT_THAT(got.expanded, ::testing::ElementsAre(0, 1, 2, 3, 4));
    });
  }
}

}  // namespace
}  // namespace hullft::select
