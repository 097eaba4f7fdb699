// Whole sweeps over a tiny model: shared work must give the scores that each cell has alone, bit for bit.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/run_status.h"
#include "coordinator/sweep/run_sweep.h"
#include "tests/coordinator/run_fixture.h"

namespace hullft::coordinator {
namespace {
using ::testing::HasSubstr;

class SweepTest : public RunTest {
 protected:
  static std::string Toml(const std::string& output, const std::string& more) {
    std::string text = "output = '" + (base_ / output).string() + "'\n";
    for (const auto& [key, file] : {std::pair("corpus", "corpus2"), std::pair("queries", "queries.jsonl"),
                                    std::pair("model", "model"), std::pair("query-embeddings", "queries.npy")})
      text += std::string(key) + " = '" + (base_ / file).string() + "'\n";
    return text + "k = 12\nmargin = 2\nmax-length = 48\nthreads = 1\nbatch = 4\nquiet = true\n" + more;
  }
  static std::vector<Row> RowsOf(const fs::path& folder) {
    return LatestRows(ReadJournal(folder / "results.jsonl").rows);
  }
};

TEST_F(SweepTest, EveryCellHasTheScoresItHasAlone) {
  const Sweep sweep =
      ReadSweep(Toml("sweep", "method = ['hullft', 'sift', 'knn']\nrefresh = [1, 2]\nn = [1, 3, 6]\n"), "a.toml", {});
  EXPECT_EQ(sweep.cells.size(), 18u);
  const SweepOutcome outcome = RunSweep(sweep, HULLFT_BINARY);
  EXPECT_EQ(outcome.done, 9);  // hullft 2 x 3, sift 2, knn 1
  EXPECT_TRUE(outcome.failed.empty());
  EXPECT_EQ(outcome.savings.untuned_scores, 18 * kQueries);
  EXPECT_LT(outcome.savings.untuned_computed, 18 * kQueries / 4);
  EXPECT_LT(outcome.savings.spent_ms, outcome.savings.alone_ms);
  for (size_t c = 0; c < sweep.cells.size(); ++c) {
    const SweepCell& cell = sweep.cells[c];
    std::vector<std::string> options;
    for (const auto& [name, value] : cell.choice) options.insert(options.end(), {"--" + name, value});
    const std::string alone_name = "alone" + std::to_string(c);
    RunOn({"a"}, Plan("corpus2", alone_name, options));
    const std::vector<Row> alone = RowsOf(base_ / alone_name);
    const std::vector<Row> shared = RowsOf(fs::path(sweep.output) / sweep.runs[cell.run].name);
    ASSERT_EQ(shared.size(), alone.size());
    for (size_t q = 0; q < alone.size(); ++q) {
      const auto mark = std::ranges::find(shared[q].marks, cell.n, &RowMark::n);
      const bool marked = mark != shared[q].marks.end();
      const Bpb& after = marked ? mark->bpb : shared[q].after;
      EXPECT_EQ(after.rolling, alone[q].after.rolling) << alone_name << " query " << q;
      EXPECT_EQ(after.first_window, alone[q].after.first_window);
      EXPECT_EQ(after.log_likelihood, alone[q].after.log_likelihood);
      EXPECT_EQ(shared[q].before.rolling, alone[q].before.rolling);
      EXPECT_EQ(marked ? mark->steps : shared[q].steps, alone[q].steps);
    }
  }
}

TEST_F(SweepTest, GoesOnWhereItWas) {
  const std::string toml = Toml("resumed", "method = ['knn', 'random']\nn = 2\n");
  const Sweep sweep = ReadSweep(toml, "a.toml", {});
  EXPECT_EQ(RunSweep(sweep, HULLFT_BINARY).done, 2);
  const SweepOutcome again = RunSweep(sweep, HULLFT_BINARY);
  EXPECT_EQ(again.done, 0);
  EXPECT_EQ(again.done_before, 2);
  // Each run has said how it ended.
  const fs::path random = fs::path(sweep.output) / "random_n2";
  const RunStatus status = ParseStatus(ReadFile(random / "status.json"), random / "status.json");
  EXPECT_EQ(status.state, "finished");
  EXPECT_EQ(status.view.done, kQueries);
  EXPECT_THAT(ReadFile(random / "metrics.prom"),
              HasSubstr("hullft_queries_done{run=\"" + random.string() + "\"} 10\n"));
  // A run that lost its end is started again, and does only what is missing.
  const fs::path knn = fs::path(sweep.output) / "knn_n2";
  fs::remove(knn / "done");
  fs::resize_file(knn / "results.jsonl", fs::file_size(knn / "results.jsonl") - 5);
  EXPECT_EQ(RunSweep(sweep, HULLFT_BINARY).done, 1);
  EXPECT_EQ(RowsOf(knn).size(), static_cast<size_t>(kQueries));
  ExpectFault(Code::kUsage, "another grid", [&] { RunSweep(ReadSweep(toml, "a.toml", {"n=3"}), HULLFT_BINARY); });
}

TEST_F(SweepTest, AFailedRunDoesNotStopTheOthers) {
  const std::string toml = Toml("failing", "method = ['knn', 'random']\nn = 2\nlayout = 'nonsense'\n");
  const SweepOutcome outcome = RunSweep(ReadSweep(toml, "a.toml", {}), HULLFT_BINARY);
  EXPECT_EQ(outcome.done, 0);
  ASSERT_EQ(outcome.failed.size(), 2u);
  EXPECT_THAT(outcome.failed[0], HasSubstr("knn_n2 (exit status"));
}

}  // namespace
}  // namespace hullft::coordinator
