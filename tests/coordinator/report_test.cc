#include "coordinator/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>

#include "tests/coordinator/sample_rows.h"

namespace hullft::coordinator {
namespace {
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::vector<Row> SomeRows() {
  std::vector<Row> rows;
  for (int i = 0; i < 40; ++i)
    rows.push_back(SampleRow(i, i % 3 == 0 ? "B,\"x\"" : "A", 2.0 + 0.01 * i, 1.0 + 0.02 * (i % 7)));
  rows.push_back(FailedRow(40, "A", "loss is not finite"));
  return rows;
}

TEST(Report, MeansAndRatiosAreThoseOfTheFinishedRows) {
  const Report report = MakeReport({SampleRow(0, "A", 2, 1), SampleRow(1, "A", 4, 2.6), FailedRow(2, "A", "x")});
  ASSERT_EQ(report.subsets.size(), 1u);
  const Summary& all = report.all;
  EXPECT_EQ(all.queries, 2);
  EXPECT_EQ(all.failed, 1);
  EXPECT_DOUBLE_EQ(all.bpb_before, 3);
  EXPECT_DOUBLE_EQ(all.bpb_after, 1.8);
  EXPECT_DOUBLE_EQ(all.percent, 60);
  EXPECT_DOUBLE_EQ(all.mean_ratio_percent, (50 + 65) / 2.0);
  EXPECT_DOUBLE_EQ(all.percent_low, 50);   // both draws the first query
  EXPECT_DOUBLE_EQ(all.percent_high, 65);  // both draws the second
  EXPECT_DOUBLE_EQ(all.ms.tune, 6);
  EXPECT_DOUBLE_EQ(all.total_ms, 28);
}

TEST(Report, DoesNotDependOnTheOrderOfRowsNorOnSupersededOnes) {
  std::vector<Row> rows = SomeRows();
  const Report report = MakeReport(rows);
  std::mt19937 random(1);
  for (int i = 0; i < 20; ++i) {
    std::vector<Row> other = SomeRows();
    other.push_back(FailedRow(i, other[i].subset, "an earlier attempt"));
    std::shuffle(other.begin(), other.end(), random);
    const Report again = MakeReport(other);
    EXPECT_EQ(ResultsTable(again), ResultsTable(report));
    EXPECT_EQ(ReportCsv(again), ReportCsv(report));
    EXPECT_EQ(ReportJson(again), ReportJson(report));
  }
}

// The results part must not know of timings, workers or attempts: this is what makes a resumed run's table equal.
TEST(Report, ResultsTableKnowsNoTimings) {
  std::vector<Row> rows = SomeRows();
  const std::string table = ResultsTable(MakeReport(rows));
  for (Row& row : rows) {
    row.ms = {9, 8, 7, 6, 5, 4, 3};
    row.worker = 1;
    row.attempts = 5;
  }
  EXPECT_EQ(ResultsTable(MakeReport(rows)), table);
  EXPECT_NE(TimingsTable(MakeReport(rows)), TimingsTable(MakeReport(SomeRows())));
}

TEST(Report, ScoresByN) {
  EXPECT_THAT(ResultsTable(MakeReport(SomeRows())), Not(HasSubstr("gradients")));
  std::vector<Row> rows = {SampleRow(0, "A", 2, 1), SampleRow(1, "B", 4, 2.6), FailedRow(2, "A", "x")};
  rows[0].marks = {{1, 1, 1, {1.5, 1.6, -9, -8}}, {4, 4, 2, {1.25, 1.35, -7, -6}}};
  rows[1].marks = {{1, 1, 1, {3.5, 3.6, -9, -8}}};
  rows[0].ms.tune_at = {10, 40};
  rows[1].ms.tune_at = {20};
  rows[1].ms.score_before_cached = true;
  const Report report = MakeReport({ParseRow(ToJsonLine(rows[0])), ParseRow(ToJsonLine(rows[1])), rows[2]});
  ASSERT_EQ(report.marks.size(), 2u);
  EXPECT_EQ(report.marks[0].queries, 2);
  EXPECT_DOUBLE_EQ(report.marks[0].bpb_after, 2.5);
  EXPECT_DOUBLE_EQ(report.marks[0].percent, 100 * 2.5 / 3);
  EXPECT_DOUBLE_EQ(report.marks[0].tune_ms, 15);
  EXPECT_EQ(report.marks[1].n, 4);
  EXPECT_EQ(report.marks[1].queries, 1);
  EXPECT_DOUBLE_EQ(report.marks[1].percent, 62.5);
  EXPECT_DOUBLE_EQ(report.marks[1].gradients, 2);
  EXPECT_THAT(ResultsTable(report), HasSubstr("     4        1     1.2500    62.50        2.00\n"));
  EXPECT_THAT(TimingsTable(report), HasSubstr("untuned scores from the cache: 1 of 2"));
  const auto json = nlohmann::json::parse(ReportJson(report));
  EXPECT_EQ(json.at("score_at").at(1).at("n"), 4);
  EXPECT_EQ(json.at("timings").back().at("score_before_cached"), 1);
}

// The percentile bootstrap against the normal approximation of a ratio of means (delta method), on many queries.
TEST(Report, BootstrapAgreesWithTheDeltaMethod) {
  std::mt19937_64 random(3);
  std::normal_distribution<double> noise;
  std::vector<Row> rows;
  double before_sum = 0, after_sum = 0;
  for (int i = 0; i < 400; ++i) {
    const double before = 2 + 0.3 * noise(random), after = 0.8 * before + 0.1 * noise(random);
    rows.push_back(SampleRow(i, "A", before, after));
    before_sum += before;
    after_sum += after;
  }
  const double ratio = after_sum / before_sum, mean = before_sum / 400;
  double variance = 0;
  for (const Row& row : rows) {
    const double e = row.after.rolling - ratio * row.before.rolling;
    variance += e * e / (400.0 * 399.0);
  }
  const double half = 100 * 1.96 * std::sqrt(variance) / mean;
  const Summary all = MakeReport(rows).all;
  EXPECT_NEAR(all.percent, 100 * ratio, 1e-9);
  EXPECT_NEAR(all.percent_high - all.percent, half, 0.15 * half);
  EXPECT_NEAR(all.percent - all.percent_low, half, 0.15 * half);
}

TEST(Report, PartialCoverageIsInTheFirstLine) {
  std::vector<Row> rows = SomeRows();
  EXPECT_THAT(ResultsTable(MakeReport(rows)), Not(HasSubstr("PARTIAL")));
  rows[5].coverage = 0.75;
  EXPECT_THAT(ResultsTable(MakeReport(rows)), StartsWith("PARTIAL: only 75.00%"));
}

TEST(Report, JsonAndCsvHoldALinePerSubsetAndOneForAll) {
  const Report report = MakeReport(SomeRows());
  const auto json = nlohmann::json::parse(ReportJson(report));
  ASSERT_EQ(json.at("results").size(), 3u);
  EXPECT_EQ(json.at("results")[0].at("failed"), 1);
  EXPECT_EQ(json.at("results")[2].at("subset"), "all");
  EXPECT_EQ(json.at("results")[2].at("percent").get<double>(), report.all.percent);
  EXPECT_DOUBLE_EQ(json.at("selection")[2].at("effective_sequences").get<double>(), 1.1);
  EXPECT_DOUBLE_EQ(json.at("selection")[0].at("largest_multiplicity").get<double>(), 19);
  const std::string csv = ReportCsv(report);
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 4);
  EXPECT_THAT(csv, HasSubstr("\"B,\"\"x\"\"\","));
}

TEST(Report, TheTableSaysWhatTheGuardDid) {
  std::vector<Row> rows = SomeRows();
  EXPECT_THAT(ResultsTable(MakeReport(rows)), StartsWith("leakage guard: off, as in the paper\n"));
  for (Row& row : rows) {
    row.guard = "drop";
    row.leak_threshold = 0.25;
    if (row.query < 3) row.leak_marked = row.leak_dropped = 2;
    row = ParseRow(ToJsonLine(row));
  }
  EXPECT_THAT(ResultsTable(MakeReport(rows)),
              StartsWith("leakage guard: drop, threshold 0.25: 6 candidates of 3 queries left out\n"));
  EXPECT_EQ(nlohmann::json::parse(ReportJson(MakeReport(rows))).at("guard").at("dropped"), 6);
}

// A row that an older version wrote counts where it has something to say.
TEST(Report, MeansOfTheSelectionLeaveOutRowsThatDoNotHaveThem) {
  std::vector<Row> rows = {SampleRow(0, "A", 2, 1), SampleRow(1, "A", 2, 1), SampleRow(2, "A", 2, 1)};
  rows[1].measures->redundancy = 0.5;
  rows[2].measures.reset();
  rows[2].gap = 3;
  rows[2] = ParseRow(ToJsonLine(rows[2]));
  const auto json = nlohmann::json::parse(ReportJson(MakeReport(rows)));
  EXPECT_DOUBLE_EQ(json.at("selection")[1].at("redundancy").get<double>(), 0.4);
  EXPECT_DOUBLE_EQ(json.at("selection")[1].at("gap").get<double>(), (3 + 2e-17) / 3);
}

TEST(Report, RunsWithoutAnyFinishedQuery) {
  EXPECT_THAT(ResultsTable(MakeReport({FailedRow(0, "A", "x")})), HasSubstr("A"));
  EXPECT_EQ(MakeReport({}).all.queries, 0);
}

// The names come from the query file: no sequence of theirs reaches the terminal, and none fills it.
TEST(Report, NamesAreShownOnOneLineWithoutControlCharacters) {
  const std::string name = "a\x1b[2J\xc2\x9b\r\nall  0  0";
  std::vector<Row> rows = {SampleRow(0, name, 2, 1), SampleRow(1, std::string(100000, 'x'), 2, 1)};
  rows[0].run = rows[1].run = "\x1b[31mrun";
  for (Row& row : rows) row.guard = "mark\x1b[5m";
  const Report report = MakeReport(rows);
  for (const std::string& text : {ResultsTable(report), TimingsTable(report), SettingsTable(rows)}) {
    EXPECT_THAT(text, Not(HasSubstr("\x1b"))) << text;
    EXPECT_THAT(text, Not(HasSubstr("\xc2\x9b")));
    EXPECT_THAT(text, Not(HasSubstr("\r")));
    EXPECT_LT(text.size(), 5000u);
  }
  EXPECT_THAT(ResultsTable(report), HasSubstr("\na [2J all 0 0 "));
  EXPECT_THAT(ReportCsv(report), HasSubstr("\n\"" + name + "\",1,")) << "whole, behind quotes";
}

}  // namespace
}  // namespace hullft::coordinator
