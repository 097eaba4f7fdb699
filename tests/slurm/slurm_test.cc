// The job script on a real Slurm cluster: whatever happens to a rank, a node or a cable, the job ends COMPLETED with
// the rows of one process, no query twice and none lost.
#include "tests/slurm/lab_fixture.h"

namespace hullft::coordinator {
namespace {
using ::testing::AnyOf;
using ::testing::HasSubstr;

// Ranks 0, 2 and 4 are the shards of the nodes, 1, 3 and 5 the workers.
TEST_F(SlurmTest, ThreeNodesGiveTheRowsOfOneProcess) {
  const std::string job = Submit("undisturbed", 3);
  ExpectTheWholeTable(job, "undisturbed", 0);
  const std::string table = ReadFile(base_ / "undisturbed/layout.txt");
  EXPECT_EQ(std::ranges::count(table, '\n'), 7) << table;
  for (int rank = 0; rank < 6; ++rank) EXPECT_THAT(Place("undisturbed", rank).first, AnyOf("n1", "n2", "n3"));
}

TEST_F(SlurmTest, AKilledWorker) {
  KillRankAndExpectTheWholeTable("worker", 3);
}

TEST_F(SlurmTest, AKilledShard) {
  KillRankAndExpectTheWholeTable("shard", 2);
}

TEST_F(SlurmTest, AKilledCoordinator) {
  KillRankAndExpectTheWholeTable("coordinator", 0);
}

TEST_F(SlurmTest, ASignalToTheJob) {
  const std::string job = SubmitAndWaitForRows("signal", 3);
  const auto [status, text] = Lab("on ctl scancel --signal=USR1 " + job);
  ASSERT_EQ(status, 0) << text;
  ExpectTheWholeTable(job, "signal", 1);
  EXPECT_THAT(Log("signal"), HasSubstr("stopping: running queries get"));
}

TEST_F(SlurmTest, APoweredOffNode) {
  const std::string job = SubmitAndWaitForRows("power", 2);
  const std::string host = Place("power", 2).first;
  ASSERT_EQ(Lab("off " + host).first, 0);
  ExpectTheWholeTable(job, "power", 1);
  EXPECT_EQ(Lab("boot " + host).first, 0);
}

TEST_F(SlurmTest, ACableCutForFiveSeconds) {
  const std::string job = SubmitAndWaitForRows("cable", 3);
  const std::string host = Place("cable", 4).first;
  ASSERT_EQ(Lab("cut " + host).first, 0);
  std::this_thread::sleep_for(std::chrono::seconds(5));
  ASSERT_EQ(Lab("plug " + host).first, 0);
  ExpectTheWholeTable(job, "cable", 0);
}

// The launcher ends the ranks that wait for the worker that hangs. Should that look like a failure to the script, the
// job comes back once and finds nothing left to do.
TEST_F(SlurmTest, AHungWorker) {
  const std::string job = Submit("hung", 3, "HULLFT_TEST_HANG=3:2", {"--task-timeout", "10", "--grace", "1"});
  ASSERT_TRUE(WaitFor(110, [&] { return JobField(job, "JobState") == "COMPLETED"; })) << Log("hung");
  EXPECT_THAT(JobField(job, "Restarts"), AnyOf("0", "1"));
  EXPECT_THAT(Log("hung"), HasSubstr("a worker does not answer"));
  const std::vector<Row> rows = Rows("hung");
  EXPECT_EQ(rows.size(), static_cast<size_t>(kQueries)) << Log("hung");
  EXPECT_GE(std::ranges::count_if(rows, [](const Row& row) { return row.attempts == 2; }), 1) << Log("hung");
  EXPECT_EQ(Comparable("hung"), Comparable("reference"));
}

}  // namespace
}  // namespace hullft::coordinator
