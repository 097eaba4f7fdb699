// Frank-Wolfe and the integerization against slow oracles and against what must hold of any right answer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <numeric>

#include "coordinator/select/frank_wolfe.h"
#include "coordinator/select/integerize.h"
#include "coordinator/select/kernels.h"
#include "tests/select/oracle.h"
#include "tests/select/random_pool.h"

namespace hullft::select {
namespace {
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Ge;

FrankWolfeResult Solve(const Pool& pool, FrankWolfeOptions options) {
  options.trace = true;
  const Vector target(pool.target.begin(), pool.target.end());
  Vector tx(pool.k);
  BestKernels().row_dots(pool.rows.data(), pool.k, pool.d, target.data(), tx.data());
  return RunOnPool({pool.rows, target, tx, pool.k, pool.d}, options);
}

Selection Hullft(const Pool& pool, int n) {
  SelectOptions options;
  options.n = n;
  return Select(pool, options);
}

// Calls back for random pools of several shapes.
void ForRandomPools(const std::function<void(const RandomPool&, int n)>& check) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    Draw draw(seed + 1000);
    const RandomPool random(seed, 1 + draw.Below(40), 1 + draw.Below(50), seed % 2 == 0);
    SCOPED_TRACE("seed " + std::to_string(seed));
    check(random, 1 + draw.Below(25));
  }
}

TEST(FrankWolfe, FollowsTheDirectTrajectory) {
  int whole = 0, tied = 0;
  ForRandomPools([&](const RandomPool& random, int n) {
    const FrankWolfeResult got = Solve(random.pool(), {.n = n});
    const OracleRun want = DirectFrankWolfe(random.pool(), n, 250, 1e-5);
    for (size_t i = 0; i < std::min(got.path.size(), want.path.size()); ++i) {
      if (got.path[i] == want.path[i]) continue;
      EXPECT_LE(want.margins[i], 1e-12) << "update " << i;
      ++tied;
      return;
    }
    ++whole;
    EXPECT_EQ(got.stop, want.stop);
    EXPECT_EQ(got.path.size(), want.path.size());
    EXPECT_EQ(got.support, want.support);
    ASSERT_EQ(got.weights.size(), want.weights.size());
    for (size_t i = 0; i < got.weights.size(); ++i) EXPECT_NEAR(got.weights[i], want.weights[i], 1e-9);
    EXPECT_NEAR(got.gap, want.gap, 1e-12);
    const Vector rho = Minus({random.target.begin(), random.target.end()}, want.c);
    EXPECT_NEAR(got.residual_sq, Inner(rho, rho), 1e-12);
  });
  EXPECT_GT(whole, 45) << tied << " ended at a tie";
}

TEST(FrankWolfe, GapBoundsTheDistanceToTheOptimum) {
  ForRandomPools([&](const RandomPool& random, int) {
    const FrankWolfeResult early = Solve(random.pool(), {.n = 1000, .max_iter = 15});
    const FrankWolfeResult late = Solve(random.pool(), {.n = 1000, .max_iter = 20000, .tol = 0});
    EXPECT_GE(early.gap, 0);
    EXPECT_LE(late.residual_sq, early.residual_sq + 1e-12);
    EXPECT_GE(0.5 * late.residual_sq, 0.5 * early.residual_sq - early.gap - 1e-12);
  });
}

TEST(FrankWolfe, WeightsArePointsOfTheSimplex) {
  ForRandomPools([&](const RandomPool& random, int) {
    const FrankWolfeResult run = Solve(random.pool(), {.n = 1000});
    EXPECT_NEAR(std::accumulate(run.weights.begin(), run.weights.end(), 0.0), 1, 1e-12);
    EXPECT_THAT(run.weights, Each(Ge(0)));
    EXPECT_TRUE(std::is_sorted(run.weights.rbegin(), run.weights.rend()));
    EXPECT_THAT(run.gammas, Each(Ge(0)));
  });
}

TEST(FrankWolfe, SmallerNIsAPrefixOfThePath) {
  ForRandomPools([&](const RandomPool& random, int n) {
    const FrankWolfeResult longer = Solve(random.pool(), {.n = n + 7}), shorter = Solve(random.pool(), {.n = n});
    ASSERT_LE(shorter.path.size(), longer.path.size());
    EXPECT_TRUE(std::equal(shorter.path.begin(), shorter.path.end(), longer.path.begin()));
    EXPECT_TRUE(std::equal(shorter.gammas.begin(), shorter.gammas.end(), longer.gammas.begin()));
  });
}

TEST(FrankWolfe, OrderOfThePoolDoesNotMatter) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const RandomPool random(seed, 30, 24, true);
    std::vector<int> order(random.k);
    std::iota(order.begin(), order.end(), 0);
    Draw draw(seed);
    for (int i = random.k - 1; i > 0; --i) std::swap(order[i], order[draw.Below(i + 1)]);
    RandomPool shuffled = random;
    for (int i = 0; i < random.k; ++i) {
      std::copy_n(&random.rows[order[i] * random.d], random.d, &shuffled.rows[i * random.d]);
    }
    const Selection want = Hullft(random.pool(), 8), got = Hullft(shuffled.pool(), 8);
    std::vector<int> support;
    for (const int row : got.support) support.push_back(order[row]);
    EXPECT_EQ(support, want.support);
    EXPECT_EQ(got.weights, want.weights) << "bits";
    EXPECT_EQ(got.counts, want.counts);
  }
}

TEST(FrankWolfe, TargetInsideTheHull) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    RandomPool random(seed, 12, 4, false);
    for (int j = 0; j < random.d; ++j) {
      double mean = 0;
      for (int i = 0; i < random.k; ++i) mean += random.rows[i * random.d + j] / 12.0;
      random.target[j] = static_cast<float>(mean);
    }
    const FrankWolfeResult run = Solve(random.pool(), {.n = 1000, .max_iter = 5000});
    EXPECT_LT(run.residual_sq, 1e-3);
    EXPECT_LE(0.5 * run.residual_sq, run.gap + 1e-15) << "the optimum is 0";
    // The residual that is reported is that of the weights, digit for digit, however small it is.
    Vector rho(random.target.begin(), random.target.end());
    for (size_t i = 0; i < run.support.size(); ++i) {
      const Vector x = Row(random.pool(), run.support[i]);
      for (int j = 0; j < random.d; ++j) rho[j] -= run.weights[i] * x[j];
    }
    EXPECT_NEAR(std::sqrt(run.residual_sq), std::sqrt(Inner(rho, rho)), 1e-12);
    EXPECT_TRUE(run.stop != "tol" || run.residual_sq < 1e-10);
  }
}

TEST(Select, EdgeSizes) {
  const RandomPool one(1, 1, 5, true), few(2, 3, 5, true);
  const Selection single = Hullft(one.pool(), 4);
  EXPECT_THAT(single.support, ElementsAre(0));
  EXPECT_THAT(single.counts, ElementsAre(4));
  EXPECT_THAT(single.expanded, ElementsAre(0, 0, 0, 0));
  EXPECT_EQ(single.stop, "denom");
  const Selection first = Hullft(few.pool(), 1);
  EXPECT_EQ(first.iterations, 1);
  EXPECT_EQ(first.expanded.size(), 1u);
  const Selection repeats = Hullft(few.pool(), 50);  // N > K repeats
  EXPECT_EQ(repeats.expanded.size(), 50u);
  EXPECT_LE(repeats.support.size(), 3u);
}

TEST(Select, EqualPointsGoToTheLowestRow) {
  RandomPool random(3, 6, 8, true);
  for (int i = 0; i < 3; ++i) std::copy_n(&random.rows[i * 8], 8, &random.rows[(i + 3) * 8]);
  for (const int n : {1, 2, 5, 20}) EXPECT_THAT(Hullft(random.pool(), n).support, Each(::testing::Lt(3)));
  RandomPool same(4, 5, 8, true);
  for (int i = 1; i < 5; ++i) std::copy_n(same.rows.data(), 8, &same.rows[i * 8]);
  const Selection selection = Hullft(same.pool(), 7);
  EXPECT_THAT(selection.support, ElementsAre(0));
  EXPECT_THAT(selection.counts, ElementsAre(7));
  // The target is one of the points: one step of no length.
  std::copy_n(&random.rows[8], 8, random.target.data());
  const Selection exact = Hullft(random.pool(), 3);
  EXPECT_THAT(exact.expanded, ElementsAre(1, 1, 1));
  EXPECT_EQ(exact.stop, "tol");
  EXPECT_EQ(exact.residual_norm, 0);
}

TEST(Integerize, EqualsTheDirectRule) {
  ForRandomPools([&](const RandomPool& random, int n) {
    const Selection got = Hullft(random.pool(), n);
    bool went_negative = false;
    EXPECT_EQ(got.counts, DirectIntegerize(random.pool(), got.support, got.weights, n, 2, true, &went_negative));
    EXPECT_EQ(std::accumulate(got.counts.begin(), got.counts.end(), 0), n);
    EXPECT_THAT(got.counts, Each(Ge(0)));
    EXPECT_FALSE(went_negative);
    EXPECT_NEAR(got.rounded_residual_norm, std::sqrt(DirectLoss(random.pool(), got.support, got.counts, n)), 1e-7);
  });
}

// The least L over all counts with sum n, by trying them all.
double BestLoss(const Pool& pool, const std::vector<int>& support, std::vector<int> counts, size_t next, int left,
                int n) {
  if (next + 1 == support.size()) {
    counts[next] = left;
    return DirectLoss(pool, support, counts, n);
  }
  double best = INFINITY;
  for (counts[next] = 0; counts[next] <= left; ++counts[next]) {
    best = std::min(best, BestLoss(pool, support, counts, next + 1, left - counts[next], n));
  }
  return best;
}

TEST(Integerize, NeverBelowTheExhaustiveOptimumAndUsuallyAtIt) {
  int best = 0;
  constexpr int kPools = 40;
  for (uint64_t seed = 0; seed < kPools; ++seed) {
    const RandomPool random(seed, 10, 6, true);
    const FrankWolfeResult run = Solve(random.pool(), {.n = 4});
    const SupportGeometry geometry{run.gram, run.tx, run.target_sq};
    const std::vector<int> counts = IntegerizeByGeometry(geometry, run.weights, 6, 50);
    const double got = DirectLoss(random.pool(), run.support, counts, 6);
    const double least = BestLoss(random.pool(), run.support, std::vector<int>(run.support.size()), 0, 6, 6);
    EXPECT_GE(got, least - 1e-12);
    best += got <= least + 1e-12;
    // Swaps to the end leave no single swap that helps.
    for (size_t i = 0; i < counts.size(); ++i) {
      for (size_t j = 0; j < counts.size(); ++j) {
        std::vector<int> trial = counts;
        if (i == j || trial[i]-- == 0) continue;
        ++trial[j];
        EXPECT_GE(DirectLoss(random.pool(), run.support, trial, 6), got - 1e-12);
      }
    }
  }
  EXPECT_GT(best, kPools * 3 / 4);
}

TEST(Integerize, OddWeights) {
  const Vector gram{1, 0, 0, 1}, tx{0.5, 0.5};
  const SupportGeometry geometry{gram, tx, 0.5};
  EXPECT_THAT(IntegerizeByGeometry(geometry, Vector{0, 0}, 4, 2), ElementsAre(2, 2)) << "no weight at all: uniform";
  EXPECT_THAT(IntegerizeByGeometry(geometry, Vector{-1, 3}, 4, 0), ElementsAre(0, 4)) << "negative ones are 0";
  EXPECT_THAT(IntegerizeByGeometry(geometry, Vector{-1, 3}, 4, 2), ElementsAre(2, 2));
  EXPECT_THAT(IntegerizeByGeometry(geometry, Vector{0.5, 0.5}, 1, 2), ElementsAre(1, 0)) << "first on ties";
  EXPECT_THAT(IntegerizeByRemainder(Vector{0.5, 0.3, 0.2}, 4), ElementsAre(2, 1, 1));
  EXPECT_THAT(IntegerizeByRemainder(Vector{0.5, 0.3, 0.2}, 3), ElementsAre(1, 1, 1));
  EXPECT_THAT(IntegerizeByRemainder(Vector{0.5, 0.3, 0.2}, 2), ElementsAre(1, 1, 0));
}

}  // namespace
}  // namespace hullft::select
