#include "common/statistics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <ranges>

namespace hullft {
namespace {
using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::Pointwise;

std::vector<double> Normals(size_t count, uint64_t seed, double mean = 0) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal(mean, 1);
  std::vector<double> values(count);
  for (double& value : values) value = normal(random);
  return values;
}

// First outputs for seed 1234567 of the reference implementation (prng.di.unimi.it/splitmix64.c).
TEST(SplitMix64, GivesTheReferenceSequence) {
  SplitMix64 random(1234567);
  EXPECT_EQ(random.Next(), 6457827717110365317u);
  EXPECT_EQ(random.Next(), 3203168211198807973u);
  EXPECT_EQ(random.Next(), 9817491932198370423u);
}

TEST(SplitMix64, BelowIsUniform) {
  SplitMix64 random(1);
  std::vector<int> counts(7);
  for (int i = 0; i < 70000; ++i) ++counts.at(random.Below(7));
  for (const int count : counts) EXPECT_NEAR(count, 10000, 400);  // 4.3 standard deviations
}

TEST(Quantile, IsLinearBetweenOrderStatistics) {
  const std::vector<double> values = {1, 2, 4, 8};
  EXPECT_EQ(Quantile(values, 0), 1);
  EXPECT_EQ(Quantile(values, 1), 8);
  EXPECT_EQ(Quantile(values, 0.5), 3);
  EXPECT_DOUBLE_EQ(Quantile(values, 0.25), 1.75);
  EXPECT_TRUE(std::isnan(Quantile({}, 0.5)));
}

TEST(Bootstrap, IsPairedAndTheSameOnAnyNumberOfThreads) {
  PairedValues paired{3, {}};
  const std::vector<double> x = Normals(50, 1);
  for (const double value : x) paired.values.insert(paired.values.end(), {value, value + 5, -2 * value});
  const std::vector<double> means = BootstrapMeans(paired, 400, 9, 1);
  EXPECT_EQ(BootstrapMeans(paired, 400, 9, 3), means);
  EXPECT_NE(BootstrapMeans(paired, 400, 10, 1), means);
  for (size_t d = 0; d < 400; ++d) {  // columns that hang together stay so in every draw
    EXPECT_NEAR(means[3 * d + 1], means[3 * d] + 5, 1e-12);
    EXPECT_NEAR(means[3 * d + 2], -2 * means[3 * d], 1e-12);
  }
}

// The interval holds the true mean about as often as it says.
TEST(Bootstrap, IntervalCovers) {
  int covered = 0;
  for (uint64_t trial = 0; trial < 400; ++trial) {
    const PairedValues paired{1, Normals(60, 100 + trial, 3)};
    const Interval interval = Middle95(BootstrapMeans(paired, 300, trial, 2));
    covered += interval.low <= 3 && 3 <= interval.high;
  }
  EXPECT_GT(covered, 360);  // 90%; a percentile interval of 60 values covers a little less than 95%
  EXPECT_LT(covered, 396);
}

TEST(Bootstrap, PValues) {
  EXPECT_DOUBLE_EQ(BootstrapPValue(std::vector<double>(999, 1.0)), 2 * 1 / 1000.0);  // never 0
  EXPECT_EQ(BootstrapPValue(std::vector<double>(999, 0.0)), 1);
  EXPECT_EQ(BootstrapPValue(std::vector<double>{-1, 1, -2, 2}), 1);
  // Without a difference small values are as rare as they say.
  int small = 0;
  for (uint64_t trial = 0; trial < 400; ++trial) {
    const PairedValues paired{1, Normals(60, 5000 + trial)};
    small += BootstrapPValue(BootstrapMeans(paired, 300, trial, 2)) < 0.05;
  }
  EXPECT_LT(small, 40);
}

TEST(Holm, WorkedExampleAndProperties) {
  EXPECT_THAT(HolmAdjusted(std::vector<double>{0.01, 0.04, 0.03, 0.005}),
              Pointwise(DoubleNear(1e-15), {0.03, 0.06, 0.06, 0.02}));
  EXPECT_THAT(HolmAdjusted(std::vector<double>{0.7}), ElementsAre(0.7));
  std::mt19937_64 random(3);
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<double> p(1 + random() % 9);
    for (double& value : p) value = std::uniform_real_distribution<double>(0, 1)(random);
    const std::vector<double> adjusted = HolmAdjusted(p);
    for (size_t i = 0; i < p.size(); ++i) {
      EXPECT_GE(adjusted[i], p[i]);
      EXPECT_LE(adjusted[i], std::min(1.0, static_cast<double>(p.size()) * p[i]) + 1e-15);  // never above Bonferroni
      for (size_t j = 0; j < p.size(); ++j) EXPECT_TRUE(p[i] > p[j] || adjusted[i] <= adjusted[j]);
    }
  }
}

TEST(Spearman, KnowsOrderAlone) {
  EXPECT_THAT(AverageRanks(std::vector<double>{5, 1, 5, 3}), ElementsAre(3.5, 1, 3.5, 2));
  std::vector<double> x = Normals(40, 7), y = Normals(40, 8);
  const double rho = SpearmanCorrelation(x, y);
  EXPECT_EQ(SpearmanCorrelation(x, x), 1);
  EXPECT_EQ(SpearmanCorrelation(y, x), rho);
  std::vector<double> exp_y = y, minus_y = y;
  for (double& value : exp_y) value = std::exp(value);
  for (double& value : minus_y) value = -value;
  EXPECT_EQ(SpearmanCorrelation(x, exp_y), rho);
  EXPECT_DOUBLE_EQ(SpearmanCorrelation(x, minus_y), -rho);
  EXPECT_TRUE(std::isnan(SpearmanCorrelation(x, std::vector<double>(40, 1.0))));
  const Interval interval = SpearmanInterval(rho, 40);
  EXPECT_LT(interval.low, rho);
  EXPECT_GT(interval.high, rho);
}

TEST(ParetoFront, HoldsWhatNothingBeats) {
  EXPECT_THAT(ParetoFront(std::vector<double>{3, 1, 2, 2, 4}, std::vector<double>{1, 5, 3, 3, 2}),
              ElementsAre(1, 2, 0));
  for (uint64_t trial = 0; trial < 100; ++trial) {
    const std::vector<double> cost = Normals(30, 2 * trial), loss = Normals(30, 2 * trial + 1);
    const std::vector<size_t> front = ParetoFront(cost, loss);
    for (size_t i = 0; i < cost.size(); ++i) {
      const bool beaten = std::ranges::any_of(std::views::iota(size_t{0}, cost.size()),
                                              [&](size_t j) { return cost[j] < cost[i] && loss[j] < loss[i]; });
      EXPECT_EQ(std::ranges::find(front, i) == front.end(), beaten);
    }
  }
}

// Found by reading: ranks of such numbers never came to an end, and their order was none.
TEST(Statistics, NumbersThatAreNoneComeLast) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(AverageRanks(std::vector<double>{nan, 2, nan, 1}), (std::vector<double>{3.5, 2, 3.5, 1}));
  std::vector<double> values(2000, nan);
  for (size_t i = 0; i < values.size(); i += 2) values[i] = -static_cast<double>(i);
  const Interval interval = Middle95(values);
  EXPECT_LT(interval.low, -1800);
  EXPECT_TRUE(std::isnan(interval.high));
}

}  // namespace
}  // namespace hullft
