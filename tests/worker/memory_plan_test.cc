#include "worker/memory_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "common/error.h"
#include "tests/caught.h"
#include "worker/tuner.h"

namespace hullft::worker {
namespace {
namespace fs = std::filesystem;
using ::testing::HasSubstr;

const fs::path kModels = fs::path(HULLFT_GOLDENS) / "finetune";

TEST(MemoryPlan, CountsTheParametersOfTheModelItself) {
  int models = 0;
  for (const auto& entry : fs::directory_iterator(kModels)) {
    if (!fs::exists(entry.path() / "config.json")) continue;
    SCOPED_TRACE(entry.path().string());
    const auto tuner = Tuner::Load({.model_dir = entry.path().string(), .threads = 1});
    EXPECT_EQ(ReadModelShape(entry.path()).parameters, tuner->parameters());
    ++models;
  }
  EXPECT_GE(models, 2);
}

TEST(MemoryPlan, BaseOnceAndFourCopiesALane) {
  const ModelShape shape{1'000'000, 1000, 500};
  const MemoryPlan one = PlanMemory(shape, 100, 1, 1);
  EXPECT_EQ(one.base_bytes, 4'000'000);
  EXPECT_EQ(one.Total(), 5 * 4'000'000 + 4 * (500 * 100 + 100 * 1000));
  const MemoryPlan many = PlanMemory(shape, 100, 2, 3);
  EXPECT_EQ(many.Total() - many.base_bytes, 6 * (one.Total() - one.base_bytes));
  EXPECT_EQ(PlanMemory(shape, 100, 1, 1, {}, /*graphs=*/true).kept_bytes, 2 * one.kept_bytes);
  EXPECT_EQ(PlanMemory(shape, 1000, 1, 1).kept_bytes, 4 * (500 * 1000 + 256 * 1000));  // one chunk of logits
}

// Soft caps make the attention's scores whole: as measured, four of [heads, T, T] a layer and one more.
TEST(MemoryPlan, CappedAttentionKeepsItsScores) {
  const fs::path models = fs::path(HULLFT_GOLDENS) / "models";
  ModelShape shape = ReadModelShape(models / "gemma2");  // 4 layers, 4 heads
  EXPECT_EQ(shape.score_floats, (4 * 4 + 1) * 4);
  EXPECT_EQ(ReadModelShape(models / "gemma3_text").score_floats, 0);
  const int64_t with = PlanMemory(shape, 64, 1, 1).kept_bytes;
  const AdapterOptions adapter{.kind = "lora", .rank = 2};
  const int64_t adapted = PlanMemory(shape, 64, 1, 1, adapter).kept_bytes;
  shape.score_floats = 0;
  EXPECT_EQ(with - PlanMemory(shape, 64, 1, 1).kept_bytes, 4 * 68 * 64 * 64);
  EXPECT_EQ(adapted - PlanMemory(shape, 64, 1, 1, adapter).kept_bytes, 4 * 68 * 64 * 64);
}

TEST(MemoryPlan, AdaptersTakeTheirOwnCopiesAndTheMergedWeights) {
  ModelShape shape{1'000'000, 1000, 500};
  shape.layers = 3;
  shape.places = {{"q", 0, 0, 20, 10}, {"v", 0, 40, 20, 10}, {"down", 1, 0, 10, 30}};
  shape.layer_weights = {600, 300};
  shape.kept_frozen = 200;
  const AdapterOptions adapter{.kind = "lora", .rank = 2, .targets = "q,v"};
  const MemoryPlan plan = PlanMemory(shape, 100, 1, 2, adapter);
  EXPECT_EQ(plan.base_bytes, 4'000'000);
  EXPECT_EQ(plan.weights_bytes, 4 * 3 * (5 * 2 * (2 * 30) + 600));
  EXPECT_EQ(plan.kept_bytes, 4 * (100 * (200 + 3 * 10) + 100 * 1000));
  EXPECT_THAT(plan.Arithmetic(), HasSubstr("adapters and merged weights"));
  EXPECT_THROW(PlanMemory(shape, 100, 1, 1, {.kind = "lora", .targets = "up"}), Error);
}

TEST(MemoryPlan, AnImpossibleOneIsRefusedWithTheArithmetic) {
  const MemoryPlan plan = PlanMemory({124'439'808, 50257, 12 * (9 * 768 + 2 * 3072)}, 1024, 1, 4);
  CheckMemory(plan, plan.Total(), "host n1");
  CheckMemory(plan, -1, "host n1");  // a system that does not say how much there is
  const Error error = Caught([&] { CheckMemory(plan, plan.Total() - 1, "host n1"); });
  EXPECT_EQ(error.code(), Code::kMemory);
  EXPECT_THAT(error.message(), HasSubstr("11.23 GB = base weights 0.50 GB + 1 worker x 4 queries x (1.99 GB"));
  EXPECT_THAT(error.message(), HasSubstr("host n1 has 11.23 GB left"));
}

// A made-up root of a file system.
class FreeMemory : public ::testing::Test {
 protected:
  FreeMemory() : root_(fs::path(::testing::TempDir()) / ("memory_" + std::to_string(::getpid()))) {
    fs::remove_all(root_);
  }
  ~FreeMemory() override { fs::remove_all(root_); }
  void Write(const std::string& path, const std::string& text) const {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  const fs::path root_;
};

TEST_F(FreeMemory, IsTheLeastOfTheMachineAndItsGroups) {
  EXPECT_EQ(FreeHostMemory(root_), -1);
  Write("proc/meminfo", "MemTotal:  9000 kB\nMemAvailable:  5000 kB\n");
  EXPECT_EQ(FreeHostMemory(root_), 5000 * 1024);
  Write("proc/self/cgroup", "0::/slice/job\n");
  Write("sys/fs/cgroup/slice/job/memory.max", "max\n");
  Write("sys/fs/cgroup/slice/job/memory.current", "1000000\n");
  EXPECT_EQ(FreeHostMemory(root_), 5000 * 1024);
  Write("sys/fs/cgroup/slice/memory.max", "3000000\n");  // of the group above
  Write("sys/fs/cgroup/slice/memory.current", "1200000\n");
  EXPECT_EQ(FreeHostMemory(root_), 1800000);
  Write("sys/fs/cgroup/slice/memory.stat", "anon 7\ninactive_file 200000\n");
  EXPECT_EQ(FreeHostMemory(root_), 2000000);
}

TEST_F(FreeMemory, KnowsTheOlderGroups) {
  Write("proc/meminfo", "MemAvailable:  5000 kB\n");
  Write("proc/self/cgroup", "5:cpu:/x\n4:memory:/job\n0::/\n");
  Write("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "2000000\n");
  Write("sys/fs/cgroup/memory/job/memory.usage_in_bytes", "1500000\n");
  EXPECT_EQ(FreeHostMemory(root_), 500000);
  EXPECT_NE(FreeHostMemory(), 0);
}

}  // namespace
}  // namespace hullft::worker
