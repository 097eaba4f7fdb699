#include "coordinator/sweep/grid.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/files.h"
#include "tests/caught.h"

namespace hullft::coordinator {
namespace {
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::string kBase = "output = 'o'\ncorpus = 'c'\nqueries = 'q'\nmodel = 'm'\nencoder = 'e'\n";

Sweep Of(const std::string& text, const std::vector<std::string>& sets = {}) {
  return ReadSweep(kBase + text, "a.toml", sets);
}
std::string Fault(const std::string& text, const std::vector<std::string>& sets = {}) {
  const Error error = Caught([&] { Of(text, sets); });
  EXPECT_EQ(error.code(), Code::kUsage);
  return error.message();
}

TEST(Grid, WithoutListsOneCell) {
  const Sweep sweep = Of("n = 7\nallow-partial = true\nlr = 1e-4\n");
  ASSERT_EQ(sweep.runs.size(), 1u);
  ASSERT_EQ(sweep.cells.size(), 1u);
  EXPECT_EQ(sweep.cells[0].n, 7);
  EXPECT_EQ(sweep.runs[0].settings.at("lr"), "0.0001");
  EXPECT_EQ(sweep.runs[0].settings.at("allow-partial"), "true");
  EXPECT_THAT(sweep.runs[0].marks, IsEmpty());
  EXPECT_EQ(sweep.output, "o");
}

TEST(Grid, OneRunServesAllNWhereASmallerOneIsAPrefix) {
  const Sweep sweep = Of("method = ['hullft', 'sift']\nn = [5, 1, 20]\n");
  EXPECT_EQ(sweep.cells.size(), 6u);
  ASSERT_EQ(sweep.runs.size(), 4u);  // hullft at each N, sift once
  for (const SweepCell& cell : sweep.cells) {
    const SweepRun& run = sweep.runs[cell.run];
    EXPECT_EQ(run.settings.at("method"), cell.choice[0].second);
    EXPECT_EQ(std::to_string(cell.n), cell.choice[1].second);
    if (run.settings.at("method") == "sift") {
      EXPECT_EQ(run.n, 20);
      EXPECT_THAT(run.marks, ElementsAre(1, 5, 20));
      EXPECT_EQ(run.name, "sift_n20");
    } else {
      EXPECT_EQ(run.n, cell.n);
      EXPECT_THAT(run.marks, IsEmpty());
    }
  }
  EXPECT_EQ(Of("method = ['sift']\nn = [5, 1]\nsift-grouping = 'global'\n").runs.size(), 2u);  // no prefix
  EXPECT_EQ(Of("method = ['knn']\nn = [5, 1]\ndropout = 0.1\n").runs.size(), 2u);
}

TEST(Grid, RefreshIsSharedWhereNothingIsReused) {
  const Sweep sweep = Of("method = ['knn', 'sift', 'random']\nrefresh = [1, 2, 'inf']\nn = [2, 4]\n");
  EXPECT_EQ(sweep.cells.size(), 18u);
  EXPECT_EQ(sweep.runs.size(), 5u);  // knn, random, and sift at each r
}

TEST(Grid, TheDemoAndThePaper) {
  const std::string root = HULLFT_SOURCE_DIR "/experiments/";
  const Sweep demo = ReadSweep(ReadFile(root + "demo.toml"), "demo.toml", {});
  EXPECT_EQ(demo.cells.size(), 40u);
  EXPECT_EQ(demo.runs.size(), 14u);  // hullft 2 x 5, sift 2, knn, random
  EXPECT_EQ(demo.jobs.size(), 1u);
  const Sweep paper = ReadSweep(ReadFile(root + "paper.toml"), "paper.toml", {"launcher=srun -K1"});
  EXPECT_EQ(paper.cells.size(), 18u);
  EXPECT_EQ(paper.launcher, "srun -K1");
}

TEST(Grid, SetsReplaceTheFilesValues) {
  EXPECT_EQ(Of("n = [1, 2]\n", {"n=3"}).cells.size(), 1u);
  EXPECT_EQ(Of("n = 1\n", {"n=[3, 4]", "method=knn"}).cells.size(), 2u);
  EXPECT_EQ(Of("n = 1\n", {"output=other folder"}).output, "other folder");
  EXPECT_THAT(Fault("", {"nn=3"}), HasSubstr("--set nn=3: unknown key nn; did you mean n?"));
  EXPECT_THAT(Fault("", {"n"}), HasSubstr("expected key=value"));
}

TEST(Grid, PrintsWhatReadsBackToTheSame) {
  const std::string text =
      kBase + "method = [\"knn\", 'sift']\nn = [1, 20]\nlr = 1e-5\nquiet = true\nstage = 'a\\b\"c'\n";
  const std::string printed = PrintSweep(text, "a.toml", {"k=50"});
  EXPECT_EQ(PrintSweep(printed, "a.toml", {}), printed);
  EXPECT_EQ(ReadSweep(printed, "a.toml", {}).runs.at(0).settings,
            ReadSweep(text, "a.toml", {"k=50"}).runs.at(0).settings);
}

TEST(Grid, FaultsNameTheirPlace) {
  EXPECT_THAT(Fault("metod = 'knn'\nrefrsh = 1\n"), HasSubstr("a.toml:6: unknown key metod; did you mean method?"));
  EXPECT_THAT(Fault("metod = 'knn'\nrefrsh = 1\n"), HasSubstr("a.toml:7: unknown key refrsh; did you mean refresh?"));
  EXPECT_THAT(Fault("n = []\n"), HasSubstr("a.toml:6: n is an empty list"));
  EXPECT_THAT(Fault("n = [[1]]\n"), HasSubstr("a.toml:6: n is neither"));
  EXPECT_THAT(Fault("[n]\nx = 1\n"), HasSubstr("n is neither"));
  EXPECT_THAT(Fault("n = \n"), HasSubstr("a.toml:6:"));
  EXPECT_THAT(Fault("n = 'many'\n"), HasSubstr("--n: 'many' is not a valid integer"));
  EXPECT_THAT(Fault("n = 1.5\n"), HasSubstr("--n: '1.5'"));
  EXPECT_THAT(Fault("method = ['knn', 'near']\n"), HasSubstr("cell (method = near)"));
  EXPECT_THAT(Fault("method = 'knn'\nn = [1, 300]\n"), HasSubstr("--n 300 is more than --k 200"));
  EXPECT_THAT(Fault("score-at = '1,2'\n"), HasSubstr("made from the list of n"));
  EXPECT_THAT(Fault("stage = 'x'\nlauncher = ['a', 'b']\n"), HasSubstr("launcher is one for the whole sweep"));
  ExpectFault(Code::kUsage, "missing output", [] { ReadSweep("n = 1\n", "a.toml", {}); });
}

// Lists multiply: this one filled the memory before it was refused.
TEST(Grid, AGridWithoutEndIsRefusedBeforeItIsMultiplied) {
  std::string text = "method = ['sift', 'hullft']\n";
  std::string list = "1";
  for (int i = 2; i <= 1000; ++i) list += ", " + std::to_string(i);
  for (const char* key : {"n", "refresh", "seed"}) text += std::string(key) + " = [" + list + "]\n";
  EXPECT_THAT(Fault(text), HasSubstr("a grid of 2e+09 cells"));
}

TEST(Grid, PrintedTextsReadBackWhateverTheyHold) {
  const std::string printed = PrintSweep(kBase + "n = 1\nlr = \"a\\\"b\\\\c\\n\\td\\u007f\"\n", "a.toml", {});
  EXPECT_THAT(printed, HasSubstr("lr = \"a\\\"b\\\\c\\u000a\\u0009d\\u007f\""));
  EXPECT_EQ(PrintSweep(printed, "a.toml", {}), printed);
}

}  // namespace
}  // namespace hullft::coordinator
