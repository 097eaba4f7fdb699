#include "coordinator/study/study.h"

#include <gmock/gmock.h>

#include "common/files.h"
#include "coordinator/study/figures.h"
#include "tests/caught.h"
#include "tests/study/run_folders.h"

namespace hullft::study {
namespace {
using coordinator::FailedRow;
using coordinator::Row;
using coordinator::SampleRow;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class StudyTest : public RunFolders {
 protected:
  static Study Load(const std::vector<fs::path>& folders, Definition definition = Definition::kRolling) {
    std::vector<RunData> runs;
    for (const fs::path& folder : folders) runs.push_back(LoadRun(folder, definition));
    return MakeStudy(std::move(runs), definition);
  }
  static Figures FiguresOf(const Study& study) { return MakeFigures(study, 0, 2); }
};

TEST_F(StudyTest, OneRunByHand) {
  const Study study =
      Load({Write("run", {SampleRow(0, "A", 2, 1), SampleRow(1, "A", 4, 2.6), FailedRow(2, "A", "no memory")})});
  const Figures figures = FiguresOf(study);
  EXPECT_EQ(figures.headline_n, 20);
  ASSERT_EQ(figures.subsets.size(), 2u);  // A and all
  const CellFigure& figure = figures.subsets.back().cells.at(0);
  EXPECT_EQ(figure.queries, 2);
  EXPECT_DOUBLE_EQ(figure.percent, 60);
  EXPECT_DOUBLE_EQ(figure.interval.low, 50);   // both draws the first query
  EXPECT_DOUBLE_EQ(figure.interval.high, 65);  // both the second
  EXPECT_DOUBLE_EQ(figure.runtime_ms, 1 + 2 + 3 + 4 + 6);
  EXPECT_TRUE(figure.on_front);
  EXPECT_THAT(figures.warnings, Contains(HasSubstr("1 of 3 queries failed")));
  EXPECT_THAT(figures.series.at(0).multiplicities, ElementsAre(std::pair(1, 2), std::pair(19, 2)));
  EXPECT_THAT(figures.series.at(0).supports, ElementsAre(std::pair(2, 2)));
}

// All draws of one query are alike, and say nothing of others.
TEST_F(StudyTest, OneQueryIsNotSignificant) {
  const Study study = Load({Write("a", Rows(1, 0.4, 1)), Write("b", Rows(1, 0.2, 2), {{"--method", "knn"}})});
  EXPECT_EQ(FiguresOf(study).subsets.back().headline[1].p, 1);
}

TEST_F(StudyTest, TheNewestRowCountsAndAFinishedOneBeforeAFailedOne) {
  std::vector<Row> rows = {SampleRow(0, "A", 2, 2), FailedRow(1, "A", "x"), SampleRow(0, "A", 2, 1),
                           FailedRow(0, "A", "y"), SampleRow(1, "A", 2, 1)};
  const Study study = Load({Write("run", rows)});
  EXPECT_EQ(study.runs[0].samples.size(), 2u);
  EXPECT_THAT(study.runs[0].failures, IsEmpty());
  EXPECT_DOUBLE_EQ(FiguresOf(study).subsets.back().cells.at(0).percent, 50);
}

TEST_F(StudyTest, SeriesAreNamedByWhatDiffersAndNIsAnAxis) {
  const Study study = Load({Write("a", Rows(5, 0.3, 1), {{"--n", "5"}, {"--refresh", "2"}}),
                            Write("b", Rows(5, 0.3, 2), {{"--n", "10"}, {"--refresh", "2"}}),
                            Write("c", Rows(5, 0.3, 3), {{"--refresh", "1"}, {"--method", "sift"}, {"--n", "10"}})});
  EXPECT_THAT(study.series, ElementsAre("hullft refresh=2", "sift refresh=1"));
  ASSERT_EQ(study.cells.size(), 3u);
  EXPECT_EQ(CellName(study, study.cells[1]), "hullft refresh=2, N = 10");
  EXPECT_EQ(FiguresOf(study).headline_n, 10);
}

TEST_F(StudyTest, RunsThatSearchAPartOfTheCorpusSaySo) {
  const std::string search = "IVF8,Flat, nprobe 2: recall@200 0.9100";
  const Study study = Load({Write("flat", Rows(5, 0.3, 1), {}, "Flat: every search is exact"),
                            Write("part", Rows(5, 0.3, 2), {{"index", "IVF8,Flat in 1 partition, nprobe 2"}}, search)});
  EXPECT_EQ(study.differing, std::vector<std::string>{"index"});
  const std::vector<std::string> warnings = FiguresOf(study).warnings;
  EXPECT_THAT(warnings, Contains("part: searches a part of the corpus only: " + search));
  EXPECT_THAT(warnings, Contains(HasSubstr("do not search in the same way")));
  EXPECT_THAT(warnings, ::testing::Not(Contains(HasSubstr("flat: searches a part"))));
}

TEST_F(StudyTest, TheSameSettingTwiceIsToldApart) {
  const Study study = Load({Write("a", Rows(5, 0.3, 1)), Write("b", Rows(5, 0.3, 2))});
  ASSERT_EQ(study.series.size(), 2u);
  EXPECT_THAT(study.series[1], HasSubstr("/b]"));
}

TEST_F(StudyTest, ScoreMarksAreCellsOfTheirOwn) {
  std::vector<Row> rows = Rows(6, 0.4, 1);
  for (Row& row : rows) {
    row.marks = {{1, 1, 1, {row.before.rolling * 0.9, 1, -1, -1}}, {20, 20, 9, row.after}};
    row.ms.tune_at = {4, row.ms.tune};
  }
  const Study study = Load({Write("run", rows)});
  ASSERT_EQ(study.cells.size(), 2u);  // the mark at --n is the run's end
  const Figures figures = FiguresOf(study);
  EXPECT_NEAR(figures.subsets.back().cells[0].percent, 90, 1e-9);
  EXPECT_DOUBLE_EQ(figures.subsets.back().cells[0].ms[kTune], 4);
  EXPECT_EQ(figures.series.at(0).queries, 6);
  EXPECT_EQ(MakeFigures(study, 1, 1).series.at(0).queries, 0);  // rows tell of the whole multiset only
  ExpectFault(Code::kUsage, "--n 3", [&] { MakeFigures(study, 3, 1); });
}

TEST_F(StudyTest, OnlyQueriesOfAllCellsAreCompared) {
  const std::vector<Row> all = Rows(40, 0.3, 1);
  const Study study = Load({Write("a", all), Write("b", {all.begin(), all.begin() + 31}, {{"--method", "knn"}})});
  const Figures figures = FiguresOf(study);
  EXPECT_EQ(figures.subsets.back().queries, 31);
  EXPECT_EQ(figures.subsets.back().left_out, 9);
  EXPECT_THAT(figures.warnings, Contains(HasSubstr("9 queries are finished in some of the cells only")));
  // The same rows: no difference, and no significance.
  EXPECT_EQ(figures.subsets.back().headline[1].difference, 0);
  EXPECT_EQ(figures.subsets.back().headline[1].p, 1);
}

TEST_F(StudyTest, AClearDifferenceIsSignificantAndNoiseIsNot) {
  const Study clear = Load({Write("a", Rows(90, 0.4, 1)), Write("b", Rows(90, 0.2, 2), {{"--method", "knn"}})});
  const HeadlineEntry knn = FiguresOf(clear).subsets.back().headline[1];
  EXPECT_LT(knn.p, 0.01);
  EXPECT_GT(knn.interval.low, 0);
  EXPECT_LT(knn.interval.low, knn.difference);
  EXPECT_GT(knn.interval.high, knn.difference);
  const Study noise = Load({Write("c", Rows(90, 0.3, 1)), Write("d", Rows(90, 0.3, 2), {{"--method", "knn"}})});
  const Figures of_noise = FiguresOf(noise);
  for (const HeadlineEntry& entry : of_noise.subsets.back().headline) EXPECT_GT(entry.p, 0.01);
}

TEST_F(StudyTest, RefusesWhatCannotBeCompared) {
  const fs::path a = Write("a", Rows(5, 0.3, 1));
  ExpectFault(Code::kUsage, "model is m1 in one and m2", [&] {
    Load({a, Write("b", Rows(5, 0.3, 1), {{"model", "m2"}})});
  });
  ExpectFault(Code::kUsage, "--max-length", [&] { Load({a, Write("b", Rows(5, 0.3, 1), {{"--max-length", "256"}})}); });
  std::vector<Row> rows = Rows(5, 0.3, 1);
  rows[3].text_hash = HashHex("another text");
  ExpectFault(Code::kUsage, "query 3 is another text", [&] { Load({a, Write("b", rows)}); });
  rows = Rows(5, 0.3, 1);
  rows[2].text_hash = "";  // an older version's row: its length must do
  rows[2].bytes += 1;
  ExpectFault(Code::kUsage, "query 2 is another text", [&] { Load({a, Write("b", rows)}); });
  rows = Rows(5, 0.3, 1);
  rows[4].window = 77;
  ExpectFault(Code::kData, "query 4", [&] { Load({Write("b", rows)}); });
  rows = Rows(5, 0.3, 1);
  for (Row& row : rows) row.query += 5;
  ExpectFault(Code::kUsage, "nothing to compare", [&] { FiguresOf(Load({a, Write("b", rows)})); });
}

TEST_F(StudyTest, DamagedFolders) {
  ExpectFault(Code::kUsage, "does not exist", [&] { Load({base_ / "nothing"}); });
  ExpectFault(Code::kData, "no row yet", [&] { Load({Write("empty", {})}); });
  ExpectFault(Code::kData, "no query is finished, 1 failed",
              [&] { Load({Write("failed", {FailedRow(0, "A", "x")})}); });
  const fs::path run = Write("run", Rows(3, 0.3, 1));
  std::ofstream(run / "results.jsonl", std::ios::app) << "{\"key\": \"k";
  EXPECT_THAT(FiguresOf(Load({run})).warnings, Contains(HasSubstr("10 bytes of an unfinished row")));
  std::ofstream(run / "results.jsonl", std::ios::app) << "\n" << ToJsonLine(SampleRow(9, "A", 2, 1)) << "\n";
  ExpectFault(Code::kData, "results.jsonl:4:", [&] { Load({run}); });
  // A number that is not finite is written as null.
  std::vector<Row> rows = Rows(3, 0.3, 1);
  rows[1].after.rolling = std::nan("");
  ExpectFault(Code::kData, "results.jsonl:2: not a row of a journal: field 'bpb' is null",
              [&] { Load({Write("nan", rows)}); });
}

TEST_F(StudyTest, RunsOfOtherVersionsAndMachinesAreSaid) {
  const fs::path a = Write("a", Rows(5, 0.3, 1)), b = Write("b", Rows(5, 0.3, 2), {{"--method", "knn"}});
  std::string text = ReadFile(b / "provenance.json");
  text.replace(text.find("\"1\""), 3, "\"2\"");
  text.replace(text.find("\"n1\""), 4, "\"n2\"");
  std::ofstream(b / "provenance.json") << text;
  const auto warnings = FiguresOf(Load({a, b})).warnings;
  EXPECT_THAT(warnings, Contains(HasSubstr("2 versions of hullft: from 1 to 2")));
  EXPECT_THAT(warnings, Contains(HasSubstr("times are not comparable: the runs differ in host")));
}

TEST_F(StudyTest, AGridIsARunASetting) {
  std::vector<Row> rows = Rows(5, 0.3, 1), knn = Rows(5, 0.2, 2);
  for (Row& row : rows) row.run = "h_n5", row.key += row.run;
  for (Row& row : knn) row.run = "k", row.key += row.run;
  rows.insert(rows.end(), knn.begin(), knn.end());
  const fs::path grid = Write("grid", rows);
  nlohmann::json json = nlohmann::json::parse(ReadFile(grid / "provenance.json"));
  json["settings"] = {{"h_n5", json["identity"]}, {"k", json["identity"]}, {"late", json["identity"]}};
  json["settings"]["k"]["--method"] = "knn";
  json.erase("identity");
  std::ofstream(grid / "provenance.json") << json.dump();
  const std::vector<RunData> runs = LoadRuns(grid, Definition::kRolling);
  ASSERT_EQ(runs.size(), 2u);  // late has no row yet
  EXPECT_EQ(runs[0].name, "h_n5");
  EXPECT_EQ(runs[1].Option("--method"), "knn");
  EXPECT_EQ(runs[1].samples.size(), 5u);
  EXPECT_TRUE(IsGrid(grid));
  EXPECT_TRUE(IsRun(grid / "k"));
  EXPECT_FALSE(IsRun(grid / "l"));
  EXPECT_EQ(LoadRun(grid / "k", Definition::kRolling).samples.size(), 5u);
  ExpectFault(Code::kUsage, "holds 2 settings", [&] { LoadRun(grid, Definition::kRolling); });
  ExpectFault(Code::kData, "no row yet", [&] { LoadRun(grid / "late", Definition::kRolling); });
  std::ofstream(grid / "results.jsonl", std::ios::app) << ToJsonLine(SampleRow(9, "A", 2, 1)) << "\n";
  ExpectFault(Code::kData, "does not know", [&] { LoadRuns(grid, Definition::kRolling); });
}

TEST_F(StudyTest, TheOtherDefinition) {
  const fs::path run = Write("run", {SampleRow(0, "A", 2, 1)});
  const Figures figures = FiguresOf(Load({run}, Definition::kFirstWindow));
  EXPECT_DOUBLE_EQ(figures.subsets.back().cells[0].percent, 100 * 1.01 / 2.01);
  EXPECT_THAT(figures.warnings, Contains(HasSubstr("first window only")));
}

TEST_F(StudyTest, UtilisationCountsEachMomentOnce) {
  std::vector<Row> rows = {SampleRow(0, "A", 2, 1), SampleRow(1, "A", 2, 1), SampleRow(2, "A", 2, 1)};
  for (Row& row : rows) row.ms.score_before = row.ms.score_after = 0, row.ms.tune = 100;
  rows[0].ms.ended = 1e12 + 100;
  rows[1].ms.ended = 1e12 + 150;  // the worker's other lane
  rows[2].ms.ended = 1e12 + 300;
  const Figures figures = FiguresOf(Load({Write("run", rows)}));
  ASSERT_EQ(figures.timelines.size(), 1u);
  EXPECT_DOUBLE_EQ(figures.timelines[0].workers.at(0).busy, 250.0 / 300);
  rows[1].ms.ended = 0;  // an older version's row
  EXPECT_THAT(FiguresOf(Load({Write("old", rows)})).timelines, IsEmpty());
}

}  // namespace
}  // namespace hullft::study
