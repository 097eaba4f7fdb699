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
  EXPECT_DOUBLE_EQ(plan.vectors_bytes_per_node, 250'000.0 * 384 * 4);
  EXPECT_DOUBLE_EQ(plan.network_bytes_per_query, 0.75 * (4 * 232 * 16 + 232 * 4 * 384 + 10 * 300 * 4));
}

TEST(Plan, TheSlowestPartBoundsTheRun) {
  PlanSettings s;
  s.worker_gflops = 1e8;
  s.worker_memory_gbs = 1e6;
  s.shard_gflops = 1e8;
  s.shard_memory_gbs = 1e6;
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
  EXPECT_NEAR(ComputePlan(s).search_seconds, s.iterations * knn.search_seconds, 1e-9 * s.iterations);
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
