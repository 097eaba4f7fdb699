// `hullft bench finetune` at a tiny size. Its baseline is GPT-2 written a second time, in plain LibTorch: that both
// sides have the same losses checks the tuner against it too.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/error.h"
#include "common/figures.h"
#include "common/files.h"
#include "coordinator/bench/child_process.h"
#include "coordinator/bench/subjects.h"
#include "tests/caught.h"

namespace hullft::coordinator {
namespace {

using ::testing::HasSubstr;

Arguments Tiny(const std::string& machine) {
  return {"--layers",    "2",     "--width",       "32", "--heads",   "2",     "--vocabulary", "97",
          "--positions", "40",    "--threads",     "1",  "--counts",  "5,2,1", "--refresh",    "3",
          "--lengths",   "40,17", "--repetitions", "2",  "--machine", machine, "--scratch",    ::testing::TempDir()};
}

std::string MachineFile() {
  Figures machine("machine", {});
  machine.Add({"machine.sgemm_gflops", "product", 100, "GFLOP/s", {}, {}});
  machine.Add({"machine.triad_gbs", "triad", 10, "GB/s", {}, {}});
  std::string path = ::testing::TempDir() + "/bench_machine.json";
  WriteFileAtomic(path, machine.Json());
  return path;
}

TEST(BenchFinetune, BothSidesHaveTheSameLossesAndEveryFigureIsThere) {
  const std::string output = ::testing::TempDir() + "/bench_finetune.json";
  Arguments args = Tiny(MachineFile());
  args.insert(args.end(), {"--output", output, "--baseline", HULLFT_BASELINE});
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(BenchFinetune(args), 0);
  EXPECT_THAT(::testing::internal::GetCapturedStdout(), HasSubstr("baseline's time to ours"));
  const Figures figures = Figures::Parse(ReadFile(output), output);
  for (const std::string length : {"T40.", "T17."}) {
    EXPECT_LT(figures.Value("finetune." + length + "losses_apart").value(), 1e-5);
    for (const char* name : {"forward", "backward", "gflops", "speedup", "adam3_ms", "adam1_ms", "first_to_later"}) {
      EXPECT_GT(figures.Value("finetune." + length + name).value_or(0), 0) << name;
    }
    const double query = figures.Value("finetune." + length + "query_seconds").value();
    // Gradients of counts 5, 2 and 1 with r = 3: 2 + 1 + 1.
    EXPECT_GT(query, 4e-3 * figures.Value("finetune." + length + "forward").value());
  }
}

TEST(BenchFinetune, BadArgumentsAreNamed) {
  const auto fault = [](const Arguments& more) {
    Arguments args = {"--layers", "1", "--width", "8", "--heads", "2", "--vocabulary", "9", "--positions", "40"};
    args.insert(args.end(), {"--machine", MachineFile(), "--scratch", ::testing::TempDir()});
    args.insert(args.end(), more.begin(), more.end());
    return Caught([&] { BenchFinetune(args); }).message();
  };
  EXPECT_THAT(fault({"--lengths", "10,x"}), HasSubstr("--lengths"));
  EXPECT_THAT(fault({"--lengths", "41"}), HasSubstr("from 2 to 40"));
  EXPECT_THAT(fault({"--counts", "3,0", "--lengths", "9"}), HasSubstr("--counts"));
  EXPECT_THAT(fault({"--baseline", "/nowhere", "--lengths", "9"}), HasSubstr("no baseline at /nowhere"));
}

TEST(ChildProcess, AnswersLinesAndTellsOfAnEnd) {
  ChildProcess cat({"/bin/cat"}, {});
  EXPECT_EQ(cat.Ask("one"), "one\n");
  EXPECT_EQ(cat.Ask("two"), "two\n");
  ChildProcess end({"/bin/true"}, {});
  EXPECT_THROW(
      {
        for (int i = 0; i < 2; ++i) end.Ask("x");
      },
      Error);
  EXPECT_THROW(ChildProcess({"/nowhere/program"}, {}), Error);
}

}  // namespace
}  // namespace hullft::coordinator
