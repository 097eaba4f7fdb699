// Parity with the reference implementations. What differs must be a choice that rounding decides there too, by the
// thresholds of tests/goldens/README.md; each excuse is counted and the numbers for the repository's set are asserted.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <iostream>

#include "coordinator/select/baselines.h"
#include "coordinator/select/frank_wolfe.h"
#include "coordinator/select/integerize.h"
#include "coordinator/select/kernels.h"
#include "coordinator/select/select.h"
#include "tests/select/golden_cases.h"
#include "tests/select/oracle.h"

namespace hullft::select {
namespace {
using Json = nlohmann::json;

constexpr double kPathGap = 1e-12;    // an oracle's choice below it is a tie
constexpr double kCountGap = 1e-15;   // an integerization's choice below it is a tie
constexpr double kWeightTie = 1e-12;  // weights nearer than this may be ordered either way

struct Tally {
  int runs = 0, path_ties = 0, order_ties = 0, count_ties = 0, guarded = 0, guarded_on_the_way = 0, sift_runs = 0,
      sift_ties = 0;
  double worst_weight = 0;
  void Print(const char* set) const {
    std::cout << set << ": " << runs << " Frank-Wolfe runs, excused: " << path_ties << " path ties, " << order_ties
              << " weight ties, " << count_ties << " count ties; " << guarded << " counts below zero guarded, "
              << guarded_on_the_way << " more only on the way; worst weight error " << worst_weight << "; " << sift_runs
              << " SIFT runs, " << sift_ties << " cut at a tie\n";
  }
};

std::vector<double> Widen(const std::vector<float>& values) {
  return {values.begin(), values.end()};
}

std::vector<double> ScoresOf(const GoldenCase& c) {
  std::vector<double> tx(c.k);
  BestKernels().row_dots(c.rows.data(), c.k, c.d, Widen(c.target).data(), tx.data());
  return tx;
}

// The number of leading updates that must agree: up to the first choice that a tie decides, when ours differs there.
// Any other difference fails the test.
int AgreeingUpdates(const GoldenCase& c, const FrankWolfeResult& run, int first) {
  const Json& fw = c.expected["fw"];
  if (first != fw["start"].get<int>()) {
    EXPECT_LE(fw["start_gap"].get<double>(), kPathGap) << "other first point";
    return -1;
  }
  const size_t common = std::min(run.path.size(), fw["trace"].size());
  for (size_t i = 0; i < common; ++i) {
    const Json& row = fw["trace"][i];
    if (run.path[i] != row[0].get<int>()) {
      EXPECT_LE(row[3].get<double>(), kPathGap) << "update " << i << ": " << run.path[i] << " instead of " << row[0];
      return static_cast<int>(i);
    }
  }
  return 1 << 30;
}

// The authors' rule lets a count pass below zero, which the guard forbids: where that happened on the way, ours is held
// to the slow oracle with the guard, and the reference to the one without it.
void CheckCounts(const GoldenCase& c, const Json& want, const Selection& got, int n, Tally* tally) {
  const auto tied = [&](const char* gap) { return !want[gap].is_null() && want[gap].get<double>() < kCountGap; };
  const auto counts = want["counts"].get<std::vector<int>>();
  if (counts == got.counts) {
    EXPECT_EQ(got.expanded, want["expanded"].get<std::vector<int>>());
    EXPECT_NEAR(got.rounded_residual_norm * got.rounded_residual_norm, want["recon_error_sq"].get<double>(), 1e-12);
    return;
  }
  if (tied("greedy_gap") || tied("swap_gap")) {
    ++tally->count_ties;
    return;
  }
  bool went_negative = false;
  EXPECT_EQ(DirectIntegerize(c.pool(), got.support, got.weights, n, 2, false, &went_negative), counts);
  EXPECT_TRUE(went_negative) << "the guard made no difference, yet the counts differ";
  if (want["negative_counts"]) {
    EXPECT_EQ(got.counts, want["counts_with_guard"].get<std::vector<int>>());
  }
  EXPECT_EQ(DirectIntegerize(c.pool(), got.support, got.weights, n, 2, true, &went_negative), got.counts);
  ++(want["negative_counts"] ? tally->guarded : tally->guarded_on_the_way);
}

// One run of the reference against ours.
void CheckRun(const GoldenCase& c, const Json& want, SelectOptions options, Tally* tally) {
  SCOPED_TRACE(c.name + ", n = " + std::to_string(options.n));
  ++tally->runs;
  const std::vector<double> tx = ScoresOf(c);
  const std::vector<double> target = Widen(c.target);
  const FrankWolfeResult run =
      RunOnPool({c.rows, target, tx, c.k, c.d},
                {.n = options.n, .max_iter = options.max_iter, .tol = options.tol, .trace = true});
  const int first = NearestRows(tx, 1)[0];
  if (AgreeingUpdates(c, run, first) < want["iterations"].get<int>()) {
    ++tally->path_ties;
    return;
  }
  const Selection got = Select(c.pool(), options);
  EXPECT_EQ(got.iterations, want["iterations"].get<int>());
  EXPECT_EQ(got.stop, want["stop"].get<std::string>());
  EXPECT_NEAR(got.residual_norm, want["residual_norm"].get<double>(), 1e-9);
  const auto weights = want["weights"].get<std::vector<double>>();
  const auto support = want["support"].get<std::vector<int>>();
  ASSERT_EQ(got.weights.size(), weights.size());
  bool swapped = false;
  for (size_t i = 0; i < weights.size(); ++i) {
    EXPECT_NEAR(got.weights[i], weights[i], 1e-9);
    tally->worst_weight = std::max(tally->worst_weight, std::abs(got.weights[i] - weights[i]));
    if (got.support[i] == support[i]) continue;
    // The next lighter or heavier point must be as heavy, so that either order is right (at the cut to N as well).
    swapped = true;
    const auto place = std::find(got.support.begin(), got.support.end(), support[i]) - got.support.begin();
    const double ours = place < static_cast<long>(got.weights.size()) ? got.weights[place] : got.weights.back();
    EXPECT_NEAR(ours, weights[i], kWeightTie)
        << "support " << i << ": " << got.support[i] << " instead of " << support[i];
  }
  if (swapped) {
    ++tally->order_ties;
    return;
  }
  CheckCounts(c, want, got, options.n, tally);
  options.rounding = Rounding::kRemainder;
  EXPECT_EQ(Select(c.pool(), options).expanded, want["padded"].get<std::vector<int>>());
}

void CheckSift(const GoldenCase& c, const Json& want, Tally* tally) {
  SCOPED_TRACE(c.name + ", SIFT lambda = " + want["lambda"].dump());
  ++tally->sift_runs;
  const auto expected = want["float64_indices"].get<std::vector<int>>();
  SelectOptions options{.method = Method::kSift, .n = static_cast<int>(expected.size()), .sift_lambda = want["lambda"]};
  const Selection got = Select(c.pool(), options);
  for (size_t i = 0; i < expected.size(); ++i) {
    const Json& gap = want["float64_gaps"][i];
    if (got.expanded[i] == expected[i]) continue;
    EXPECT_TRUE(gap.is_null() || gap.get<double>() <= kPathGap)
        << "pick " << i << ": " << got.expanded[i] << " instead of " << expected[i] << ", gap " << gap;
    ++tally->sift_ties;
    return;
  }
}

TEST(Golden, RealPools) {
  Tally tally;
  for (const GoldenCase& c : RealCases()) {
    for (const Json& want : c.expected["fw"]["by_n"]) CheckRun(c, want, {.n = want["n"]}, &tally);
    for (const auto& [lambda, want] : c.expected["sift"].items()) CheckSift(c, want, &tally);
  }
  tally.Print("real");
  EXPECT_GT(tally.runs, 0);
  EXPECT_EQ(tally.path_ties + tally.order_ties + tally.count_ties, 0) << "real text has no ties";
}

TEST(Golden, SyntheticPools) {
  Tally tally;
  for (const GoldenCase& c : SyntheticCases()) {
    for (const Json& want : c.expected["fw"]["by_n"]) CheckRun(c, want, {.n = want["n"]}, &tally);
    CheckRun(c, c.expected["fw_iter100_tol1e-4_n5"], {.n = 5, .max_iter = 100, .tol = 1e-4}, &tally);
    CheckSift(c, c.expected["sift"], &tally);
  }
  tally.Print("synthetic");
  EXPECT_GT(tally.runs, 0);
  // On an edge both ends are equally good once the edge's optimum is reached, and symmetric points tie from the start.
  EXPECT_LE(tally.path_ties + tally.order_ties + tally.count_ties, tally.runs / 8);
}

TEST(Golden, NearestNeighbours) {
  int compared = 0, ties = 0;
  for (const GoldenCase& c : RealCases()) {
    SCOPED_TRACE(c.name);
    const Selection got = Select(c.pool(), {.method = Method::kKnn, .n = 50});
    const auto expected = c.expected["knn"].get<std::vector<int>>();
    const auto scores = c.expected["knn_scores"].get<std::vector<double>>();
    const std::vector<double> tx = ScoresOf(c);
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_NEAR(tx[got.expanded[i]], scores[i], 1e-6);
      ++compared;
      if (got.expanded[i] == expected[i]) continue;
      ++ties;  // the reference scores in float32
      EXPECT_NEAR(tx[got.expanded[i]], tx[expected[i]], 2e-7) << "place " << i;
    }
  }
  std::cout << "kNN: " << compared << " places, " << ties << " decided by the reference's float32\n";
  EXPECT_GT(compared, 0);
}

}  // namespace
}  // namespace hullft::select
