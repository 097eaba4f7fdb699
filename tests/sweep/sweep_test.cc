// Whole sweeps over a tiny model: shared work must give the scores that each cell has alone, bit for bit.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/page/page.h"
#include "coordinator/run_grid.h"
#include "coordinator/run_status.h"
#include "coordinator/sweep/run_sweep.h"
#include "tests/coordinator/run_fixture.h"

namespace hullft::coordinator {
namespace {
using ::testing::HasSubstr;

class SweepTest : public RunTest {
 protected:
  // shared: rows of a setting that serves the cell; alone: of the cell alone.
  static void ExpectSame(const std::vector<Row>& shared, const std::vector<Row>& alone, int n, const SweepRun& run) {
    ASSERT_EQ(shared.size(), alone.size());
    for (size_t q = 0; q < alone.size(); ++q) {
      const auto mark = std::ranges::find(shared[q].marks, n, &RowMark::n);
      const bool marked = mark != shared[q].marks.end();
      const Bpb& after = marked ? mark->bpb : shared[q].after;
      EXPECT_EQ(after.rolling, alone[q].after.rolling) << run.name << " query " << q;
      EXPECT_EQ(after.first_window, alone[q].after.first_window);
      EXPECT_EQ(after.log_likelihood, alone[q].after.log_likelihood);
      EXPECT_EQ(shared[q].before.rolling, alone[q].before.rolling);
      EXPECT_EQ(marked ? mark->steps : shared[q].steps, alone[q].steps);
      if (marked) continue;  // a larger N's selection
      EXPECT_EQ(shared[q].ids, alone[q].ids);
      EXPECT_EQ(shared[q].counts, alone[q].counts);
      EXPECT_EQ(shared[q].weights, alone[q].weights);
      EXPECT_EQ(shared[q].gap, alone[q].gap);
    }
  }
  // What the settings of a grid share.
  static std::vector<std::string> WithoutN(const std::string& corpus, const std::string& output) {
    std::vector<std::string> words = Arguments(corpus, output, {});
    const auto n = std::ranges::find(words, "--n");
    words.erase(n, n + 2);
    return words;
  }
  static std::string Toml(const std::string& output, const std::string& more) {
    std::string text = "output = '" + (base_ / output).string() + "'\n";
    for (const auto& [key, file] : {std::pair("corpus", "corpus2"), std::pair("queries", "queries.jsonl"),
                                    std::pair("model", "model"), std::pair("query-embeddings", "queries.npy")})
      text += std::string(key) + " = '" + (base_ / file).string() + "'\n";
    return text + (more.starts_with("k =") ? "" : "k = 12\n") +
           "margin = 2\nmax-length = 48\nthreads = 1\nbatch = 4\nquiet = true\n" + more;
  }
  // Of one setting; "": of a run that has but one.
  static std::vector<Row> RowsOf(const fs::path& folder, const std::string& run = "") {
    std::vector<Row> rows = LatestRows(ReadJournal(folder / "results.jsonl").rows);
    std::erase_if(rows, [&](const Row& row) { return row.run != run; });
    return rows;
  }
};

TEST_F(SweepTest, EveryCellHasTheScoresItHasAlone) {
  const Sweep sweep =
      ReadSweep(Toml("sweep", "method = ['hullft', 'sift', 'knn']\nrefresh = [1, 2]\nn = [1, 3, 6]\n"), "a.toml", {});
  EXPECT_EQ(sweep.cells.size(), 18u);
  const SweepOutcome outcome = RunSweep(sweep, HULLFT_BINARY);
  EXPECT_EQ(sweep.jobs.size(), 1u);
  EXPECT_EQ(outcome.done, 9);  // hullft 2 x 3, sift 2, knn 1
  EXPECT_TRUE(outcome.failed.empty());
  EXPECT_EQ(outcome.savings.untuned_scores, 18 * kQueries);
  EXPECT_LE(outcome.savings.untuned_computed, kQueries);
  EXPECT_GE(outcome.savings.untuned_computed, kQueries - 1);  // two of the texts are equal
  EXPECT_EQ(outcome.savings.pools, kQueries);
  EXPECT_LT(outcome.savings.spent_ms, outcome.savings.alone_ms);
  for (size_t c = 0; c < sweep.cells.size(); ++c) {
    const SweepCell& cell = sweep.cells[c];
    std::vector<std::string> options;
    for (const auto& [name, value] : cell.choice) options.insert(options.end(), {"--" + name, value});
    const std::string alone_name = "alone" + std::to_string(c);
    RunOn({"a"}, Plan("corpus2", alone_name, options));
    const SweepRun& run = sweep.runs[cell.run];
    ExpectSame(RowsOf(sweep.output, run.name), RowsOf(base_ / alone_name), cell.n, run);
  }
  // The page says what the one journal says, by a program that shares no code with it.
  const study::Study study = study::MakeStudy(RunsOf(sweep), study::Definition::kRolling);
  std::ofstream(base_ / "sweep.html") << page::ReportPage(study, study::MakeFigures(study, 0, 1));
  EXPECT_EQ(
      std::system(("/usr/bin/python3 " HULLFT_SOURCE_DIR "/tests/study/recompute.py " + (base_ / "sweep.html").string())
                      .c_str()),
      0);
  // What the reports take for the runs' folders.
  EXPECT_EQ(study::LoadRuns(sweep.output, study::Definition::kRolling).size(), 9u);
  EXPECT_EQ(study::LoadRun(fs::path(sweep.output) / "hullft_refresh2_n3", study::Definition::kRolling).n(), 3);
  ExpectFault(Code::kUsage, "holds 9 settings", [&] { study::LoadRun(sweep.output, study::Definition::kRolling); });
}

// Several workers and shards share one grid; rows that are there already are not made again.
TEST_F(SweepTest, AGridGivesTheSameRowsOnAnyRanks) {
  fs::create_directories(base_ / "ranks");
  std::ofstream(base_ / "ranks/grid") << R"({"settings": {
    "h2": {"n": "2"}, "h5": {"n": "5", "refresh": "1"}, "s": {"method": "sift", "n": "4", "score-at": "2,4"}}})";
  const auto plan = [&](const std::string& corpus, const std::string& output) {
    RunPlan made = Plan(corpus, output);
    made.settings.grid = ReadRunGrid(base_ / "ranks/grid", WithoutN(corpus, output));
    return made;
  };
  EXPECT_EQ(RunOn({"a"}, plan("corpus4", "ranks1")).finished, 3 * kQueries);
  EXPECT_EQ(RunOn({"a", "a", "b", "b"}, plan("corpus4", "ranks4")).finished, 3 * kQueries);
  EXPECT_EQ(Comparable("ranks1"), Comparable("ranks4"));
  // Without the last bytes a row is made again, and only that one.
  const fs::path journal = base_ / "ranks1/results.jsonl";
  fs::resize_file(journal, fs::file_size(journal) - 5);
  const RunOutcome again = RunOn({"a"}, plan("corpus4", "ranks1"));
  EXPECT_EQ(again.finished, 1);
  EXPECT_EQ(again.skipped, 3 * kQueries - 1);
  EXPECT_EQ(Comparable("ranks1"), Comparable("ranks4"));
  ExpectFault(Code::kUsage, "holds a grid, not a run of one setting",
              [&] { RunOn({"a"}, Plan("corpus4", "ranks1", {})); });
}

TEST_F(SweepTest, GoesOnWhereItWas) {
  const std::string toml = Toml("resumed", "method = ['knn', 'random']\nn = 2\n");
  const Sweep sweep = ReadSweep(toml, "a.toml", {});
  EXPECT_EQ(RunSweep(sweep, HULLFT_BINARY).done, 2);
  const SweepOutcome again = RunSweep(sweep, HULLFT_BINARY);
  EXPECT_EQ(again.done, 0);
  EXPECT_EQ(again.done_before, 2);
  // It has said how it ended.
  const fs::path output = sweep.output;
  const RunStatus status = ParseStatus(ReadFile(output / "status.json"), output / "status.json");
  EXPECT_EQ(status.state, "finished");
  EXPECT_EQ(status.view.done, 2 * kQueries);
  EXPECT_THAT(ReadFile(output / "metrics.prom"),
              HasSubstr("hullft_queries_done{run=\"" + output.string() + "\"} 20\n"));
  // A sweep that lost its end is started again, and does only what is missing.
  fs::remove(output / "job1.done");
  fs::resize_file(output / "results.jsonl", fs::file_size(output / "results.jsonl") - 5);
  EXPECT_EQ(RunSweep(sweep, HULLFT_BINARY).done, 2);
  EXPECT_EQ(RowsOf(output, "knn_n2").size(), static_cast<size_t>(kQueries));
  EXPECT_EQ(RowsOf(output, "random_n2").size(), static_cast<size_t>(kQueries));
  EXPECT_EQ(ReadJournal(output / "results.jsonl").rows.size(), 2u * kQueries);
  ExpectFault(Code::kUsage, "another grid", [&] { RunSweep(ReadSweep(toml, "a.toml", {"n=3"}), HULLFT_BINARY); });
}

#ifdef HULLFT_MPIRUN
TEST_F(SweepTest, UnderMpirun) {
  for (const char* name : {"OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "OMPI_MCA_mpi_yield_when_idle"})
    ::setenv(name, "1", 1);
  const std::string grid = "method = ['hullft', 'sift']\nn = [1, 4]\n";
  const Sweep alone = ReadSweep(Toml("one_process", grid), "a.toml", {});
  EXPECT_EQ(RunSweep(alone, HULLFT_BINARY).done, 3);
  const Sweep spread = ReadSweep(
      Toml("mpirun", grid + "launcher = 'timeout 200 " HULLFT_MPIRUN " --oversubscribe --bind-to none -n 3'\n"),
      "a.toml", {});
  EXPECT_EQ(RunSweep(spread, HULLFT_BINARY).done, 3);
  EXPECT_EQ(Comparable("one_process"), Comparable("mpirun"));
}
#endif

TEST_F(SweepTest, SettingsThatCannotShareGetAJobEach) {
  const Sweep sweep = ReadSweep(Toml("jobs", "k = [10, 12]\nmethod = ['knn', 'random']\nn = 2\n"), "a.toml", {});
  ASSERT_EQ(sweep.jobs.size(), 2u);
  EXPECT_EQ(RunSweep(sweep, HULLFT_BINARY).done, 4);
  EXPECT_EQ(RunsOf(sweep).size(), 4u);
  EXPECT_EQ(ReadJournal(fs::path(sweep.output) / "results.jsonl").rows.size(), 4u * kQueries);
  EXPECT_EQ(ReadSweep(Toml("global", "pool = 'global'\nn = [2, 3]\n"), "a.toml", {}).jobs.size(), 2u);
}

TEST_F(SweepTest, AFailedJobDoesNotStopTheOthers) {
  const std::string toml = Toml("failing", "method = 'knn'\nn = 2\nlayout = ['nonsense', 'shards=0 workers=0']\n");
  const SweepOutcome outcome = RunSweep(ReadSweep(toml, "a.toml", {}), HULLFT_BINARY);
  EXPECT_EQ(outcome.done, 1);
  ASSERT_EQ(outcome.failed.size(), 1u);
  EXPECT_THAT(outcome.failed[0], HasSubstr("(exit status"));
}

TEST_F(SweepTest, BadGridFiles) {
  const fs::path file = base_ / "bad_grid";
  const auto fault = [&](const std::string& text, const std::string& expected) {
    std::ofstream(file) << text;
    ExpectFault(Code::kUsage, expected, [&] { ReadRunGrid(file, WithoutN("corpus2", "bad")); });
  };
  fault("{", "bad_grid");
  fault("{}", "settings");
  fault(R"({"settings": {}})", "holds no setting");
  fault(R"({"settings": {"../a": {}}})", "cannot be a setting's name");
  fault(R"({"settings": {"a": {"k": "5"}}})", "a: k cannot differ");
  fault(R"({"settings": {"a": {"n": "many"}}})", "a: ");
  fault(R"({"settings": {"a": {"n": 5}}})", "bad_grid");
}

}  // namespace
}  // namespace hullft::coordinator
