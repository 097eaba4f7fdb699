// hullft plan: the arithmetic, and where its rates come from.
#include "coordinator/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "common/error.h"
#include "common/figures.h"
#include "common/files.h"
#include "coordinator/bench/measure.h"
#include "coordinator/commands/commands.h"
#include "tests/caught.h"

namespace hullft::coordinator {
namespace {
using ::testing::HasSubstr;

nlohmann::json PlanJson(Arguments args) {
  args.push_back("--json");
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(PlanCommand(args), 0);
  return nlohmann::json::parse(::testing::internal::GetCapturedStdout());
}

TEST(Plan, CountsWhatTheDesignSays) {
  PlanSettings s;
  s.corpus_sequences = 1e6;
  s.nodes = 4;
  s.dim = 384;
  s.k = 200;
  s.margin = 32;
  s.distinct = 10;
  s.sequence_tokens = 300;
  const Plan plan = ComputePlan(s);
  EXPECT_DOUBLE_EQ(plan.corpus.swept_bytes, 250'000.0 * (384 * 4 + 8));
  EXPECT_DOUBLE_EQ(plan.network_bytes_per_query, 0.75 * (4 * 232 * 16 + 232 * 4 * 384 + 10 * 300 * 4));
}

TEST(Plan, TheSlowestPartBoundsTheRun) {
  PlanSettings s;
  s.worker_gflops = 1e8;
  s.worker_memory_gbs = 1e6;
  s.shard_gflops = 1e8;
  s.shard_memory_gbs = 1e6;
  s.node_memory_gb = 1e5;
  s.journal_rows = 7;
  Plan plan = ComputePlan(s);
  EXPECT_STREQ(plan.bound_by, "the coordinator");
  EXPECT_DOUBLE_EQ(plan.queries_per_second, 7);
  s.shard_gflops = s.shard_memory_gbs = 0.01;
  EXPECT_STREQ(ComputePlan(s).bound_by, "the shards");
  s.worker_gflops = 1e-3;
  plan = ComputePlan(s);
  EXPECT_STREQ(plan.bound_by, "the workers");
  EXPECT_DOUBLE_EQ(plan.total_seconds, s.queries / plan.worker_queries_per_second);
}

TEST(Plan, GlobalModePassesOverTheCorpusOnceAnIteration) {
  PlanSettings s;
  const Plan knn = ComputePlan(s);
  s.pool = "global";
  EXPECT_NEAR(ComputePlan(s).search_seconds, s.iterations * knn.search_seconds,
              1e-3 * s.iterations * knn.search_seconds);
}

TEST(PlanCorpus, CountsEveryByteOfTheFormat) {
  CorpusPlanSettings s;
  s.corpus_sequences = 4e6;
  s.nodes = 4;
  s.dim = 384;
  s.sequence_bytes = s.sequence_tokens = 1000;
  s.text_ratio = 0.5;
  s.token_bytes = 2;
  const CorpusPlan flat = PlanCorpus(s);
  EXPECT_DOUBLE_EQ(flat.disk_bytes(), 1e6 * (500 + 24 + 2000 + 2 * 4 * 384 + 8));
  EXPECT_TRUE(flat.in_memory);
  EXPECT_DOUBLE_EQ(flat.index_s, 0);
  EXPECT_NEAR(flat.round_s, 2 * 1e6 * 384 * 64 / 120e9, 0.01);
  s.index = "IVF1024,SQ8";
  const CorpusPlan ivf = PlanCorpus(s);
  EXPECT_DOUBLE_EQ(ivf.disk_bytes(), 1e6 * (500 + 24 + 2000 + 4 * 384 + 8 + 384 + 8) + 1024 * 384 * 4);
  EXPECT_GT(ivf.index_s, 0);
  EXPECT_LT(ivf.round_s, flat.round_s);
  s.node_memory_gb = 0.5;
  const CorpusPlan from_disk = PlanCorpus(s);
  EXPECT_FALSE(from_disk.in_memory);
  EXPECT_GT(from_disk.round_s, ivf.round_s);
  s.index = "IVF1024,PQ5";
  EXPECT_EQ(Caught([&] { PlanCorpus(s); }).code(), Code::kUsage);
}

TEST(PlanCorpus, TheTableHasALineForEverySizeAndNumberOfNodes) {
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(PlanCommand({"--table", "--index", "HNSW32"}), 0);
  const std::string table = ::testing::internal::GetCapturedStdout();
  EXPECT_EQ(std::ranges::count(table, '\n'), 2 + 3 * 4);
  EXPECT_THAT(table, HasSubstr("| 2.1e+08 | 64 |"));
}

class PlanRates : public ::testing::Test {
 protected:
  std::string Write(const std::string& name, const Figures& figures) {
    const std::string path = (scratch_.path() / name).string();
    WriteFileAtomic(path, figures.Json());
    return path;
  }
  ScratchFolder scratch_{::testing::TempDir()};
};

TEST_F(PlanRates, MeasuredFiguresReplaceDefaultsAndFlagsWin) {
  Figures machine("machine", {});
  machine.Add({"machine.sgemm_gflops", "product", 320, "GFLOP/s", {}, {}});
  machine.Add({"machine.triad_gbs", "triad", 25, "GB/s", {}, {}});
  Figures finetune("finetune", {});
  finetune.Add({"finetune.T1024.gflops", "long", 240, "GFLOP/s", {}, {}});
  finetune.Add({"finetune.T256.gflops", "short", 200, "GFLOP/s", {}, {}});
  finetune.Add({"finetune.T1024.gflops_of_peak", "share", 0.7, "", {}, {}});
  const std::string machine_file = Write("machine.json", machine), finetune_file = Write("finetune.json", finetune);
  const nlohmann::json taken = PlanJson({"--rates", machine_file, "--rates", finetune_file});
  EXPECT_EQ(taken, PlanJson({"--shard-gflops", "320", "--shard-memory-gbs", "25", "--worker-memory-gbs", "25",
                             "--worker-gflops", "240"}));
  EXPECT_NE(taken, PlanJson({}));
  EXPECT_EQ(PlanJson({"--rates", finetune_file, "--worker-gflops", "60"}), PlanJson({"--worker-gflops", "60"}));
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(PlanCommand({"--rates", machine_file}), 0);
  EXPECT_THAT(::testing::internal::GetCapturedStdout(), HasSubstr("--shard-gflops 320, from " + machine_file));
}

TEST_F(PlanRates, FiguresOfTheCorpusAreTaken) {
  Figures index("index", {});
  index.Add({"ingest.cpu_mbs", "ingest", 30, "MB/s", {}, {}});
  index.Add({"index.share", "share", 0.01, "", {}, {}});
  index.Add({"disk.text_ratio", "ratio", 0.3, "x", {}, {}});
  const std::string file = Write("index.json", index);
  EXPECT_EQ(
      PlanJson({"--index", "IVF256,Flat", "--rates", file}),
      PlanJson({"--index", "IVF256,Flat", "--ingest-core-mbs", "30", "--probed-share", "0.01", "--text-ratio", "0.3"}));
}

TEST_F(PlanRates, AFileWithoutARateIsAnErrorThatNamesIt) {
  Figures other("other", {});
  other.Add({"other.figure", "nothing of use", 1, "x", {}, {}});
  const std::string path = Write("other.json", other);
  const Error error = Caught([&] { PlanCommand({"--rates", path}); });
  EXPECT_EQ(error.code(), Code::kData);
  EXPECT_THAT(error.what(), HasSubstr(path));
}

}  // namespace
}  // namespace hullft::coordinator
