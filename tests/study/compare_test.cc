#include "coordinator/study/compare.h"

#include <gmock/gmock.h>

#include "tests/caught.h"
#include "tests/study/run_folders.h"

namespace hullft::study {
namespace {
using coordinator::Row;
using coordinator::SampleRow;
using ::testing::HasSubstr;

class CompareTest : public RunFolders {
 protected:
  static Comparison Of(const fs::path& a, const fs::path& b, bool common = false, int n = 0) {
    return Compare(LoadRun(a, Definition::kRolling), LoadRun(b, Definition::kRolling), Definition::kRolling, n, common,
                   1);
  }
};

TEST_F(CompareTest, ByHand) {
  const fs::path a = Write("a", {SampleRow(0, "A", 2, 1), SampleRow(1, "B", 4, 3), SampleRow(2, "B", 2, 1)});
  const fs::path b =
      Write("b", {SampleRow(0, "A", 2, 1.5), SampleRow(1, "B", 4, 2), SampleRow(2, "B", 2, 1)}, {{"--method", "knn"}});
  const Comparison comparison = Of(a, b);
  ASSERT_EQ(comparison.subsets.size(), 3u);
  const PairedDifference& all = comparison.subsets.back();
  EXPECT_DOUBLE_EQ(all.percent_a, 62.5);
  EXPECT_DOUBLE_EQ(all.percent_b, 56.25);
  EXPECT_NEAR(all.difference, -6.25, 1e-12);
  EXPECT_EQ(all.a_better, 1);
  EXPECT_EQ(all.b_better, 1);
  EXPECT_DOUBLE_EQ(comparison.subsets[0].difference, 25);
  EXPECT_DOUBLE_EQ(comparison.subsets[0].interval.low, 25);  // every draw takes the one query
  EXPECT_THAT(DifferingText(comparison), HasSubstr("--method: hullft and knn"));
  EXPECT_THAT(PlainText(ComparisonTable(comparison)), HasSubstr("-6.25"));
}

TEST_F(CompareTest, TheOtherWayRoundIsTheOppositeSign) {
  const fs::path a = Write("a", Rows(50, 0.4, 1)), b = Write("b", Rows(50, 0.3, 2), {{"--method", "knn"}});
  const PairedDifference there = Of(a, b).subsets.back(), back = Of(b, a).subsets.back();
  EXPECT_DOUBLE_EQ(there.difference, -back.difference);
  EXPECT_NEAR(there.interval.low, -back.interval.high, 1e-9);
  EXPECT_DOUBLE_EQ(there.p, back.p);
  EXPECT_EQ(there.a_better, back.b_better);
}

TEST_F(CompareTest, RefusesWhatIsNoComparison) {
  const std::vector<Row> rows = Rows(9, 0.4, 1);
  const fs::path a = Write("a", rows);
  const fs::path shorter = Write("b", {rows.begin(), rows.begin() + 7});
  ExpectFault(Code::kUsage, "2 queries are finished in one of", [&] { Of(a, shorter); });
  EXPECT_EQ(Of(a, shorter, true).subsets.back().queries, 7);
  ExpectFault(Code::kUsage, "share no N: 20 and 5", [&] { Of(a, Write("c", rows, {{"--n", "5"}})); });
  ExpectFault(Code::kUsage, "N = 3", [&] { Of(a, shorter, true, 3); });
  ExpectFault(Code::kUsage, "model is", [&] { Of(a, Write("d", rows, {{"model", "m2"}})); });
}

TEST_F(CompareTest, ARunScoredOnTheWayIsComparedThere) {
  std::vector<Row> rows = Rows(9, 0.4, 1);
  for (Row& row : rows) row.marks = {{5, 5, 5, {row.before.rolling * 0.9, 1, -1, -1}}};
  const fs::path a = Write("a", rows), b = Write("b", Rows(9, 0.4, 1), {{"--n", "5"}, {"--method", "sift"}});
  EXPECT_NEAR(Of(a, b).subsets.back().percent_a, 90, 1e-9);
}

}  // namespace
}  // namespace hullft::study
