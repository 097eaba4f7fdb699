// Several queries at a time on one worker: the rows of one at a time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/coordinator/run_fixture.h"

namespace hullft::coordinator {
namespace {
using ::testing::HasSubstr;

RunOutcome RunWith(int threads, const RunPlan& plan) {
  RankContext context;
  context.threads = threads;
  return RunInProcess(plan, context, [](const RunOutcome&) { ADD_FAILURE() << "no worker hangs here"; });
}

TEST_F(RunTest, LanesGiveTheRowsOfOneQueryAtATime) {
  RunWith(1, Plan("corpus2", "one"));
  const std::string one = Comparable("one");
  RunWith(3, Plan("corpus2", "three", {"--queries-per-worker", "3"}));
  EXPECT_EQ(Comparable("three"), one);
  // Two workers of two lanes each; a stopped run goes on with another number of lanes.
  RunWith(4, Plan("corpus2", "two by two", {"--queries-per-worker", "2", "--workers", "2", "--limit", "6"}));
  RunWith(1, Plan("corpus2", "two by two"));
  EXPECT_EQ(Comparable("two by two"), one);
}

TEST_F(RunTest, AdaptersAreTrainedAndRecorded) {
  const std::vector<std::string> lora = {"--adapter", "lora", "--rank", "2", "--target", "q,down"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.end(), lora.begin(), lora.end());
    return more;
  };
  RunWith(1, Plan("corpus2", "full"));
  RunWith(1, Plan("corpus2", "lora", with({})));
  RunWith(2, Plan("corpus2", "lora lanes", with({"--queries-per-worker", "2"})));
  EXPECT_EQ(Comparable("lora lanes"), Comparable("lora"));
  const auto rows = [&](const std::string& folder) {
    return LatestRows(ReadJournal(base_ / folder / "results.jsonl").rows);
  };
  const std::vector<Row> full = rows("full"), adapted = rows("lora");
  ASSERT_EQ(full.size(), adapted.size());
  EXPECT_EQ(adapted[0].adapter.kind, "lora");
  EXPECT_EQ(adapted[0].adapter.rank, 2);
  EXPECT_EQ(adapted[0].adapter.targets, "q,down");
  EXPECT_EQ(full[0].adapter.kind, "none");
  EXPECT_NE(full[0].after.log_likelihood, adapted[0].after.log_likelihood);
  const Error target = Caught([&] { RunWith(1, Plan("corpus2", "none", {"--adapter", "lora", "--target", "x"})); });
  EXPECT_EQ(target.code(), Code::kUsage);
  EXPECT_THAT(target.message(), HasSubstr("no target 'x'; it has q, k, v, o"));
}

TEST_F(RunTest, LanesThatCannotBeAreRefused) {
  const Error threads = Caught([] { RunWith(2, Plan("corpus2", "none", {"--queries-per-worker", "3"})); });
  EXPECT_EQ(threads.code(), Code::kUsage);
  EXPECT_THAT(threads.message(), HasSubstr("fewer threads"));
  const Error dropout = Caught([] { Plan("corpus2", "none", {"--queries-per-worker", "2", "--dropout", "0.1"}); });
  EXPECT_THAT(dropout.message(), HasSubstr("one generator"));
  EXPECT_FALSE(fs::exists(base_ / "none"));
}

}  // namespace
}  // namespace hullft::coordinator
