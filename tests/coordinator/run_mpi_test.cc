// Whole runs of the program under mpirun: the rows of one process for any number of ranks, signals, a worker that
// hangs, and ranks that do not fit together.
#include <chrono>

#include "common/comm/launch.h"
#include "common/printable.h"
#include "tests/coordinator/mpi_fixture.h"

namespace hullft::coordinator {
namespace {
using ::testing::HasSubstr;

TEST_F(RunMpiTest, AnyNumberOfRanksGivesTheSameRows) {
  for (const int ranks : {1, 2, 3, 5, 8}) {
    const std::string output = "mpi" + std::to_string(ranks);
    std::string printed;
    ASSERT_EQ(Shell(Mpirun(ranks) + Run("corpus4", output), &printed), 0) << printed;
    EXPECT_EQ(Rows(output).size(), static_cast<size_t>(kQueries));
    EXPECT_EQ(Comparable(output), Reference()) << ranks;
  }
}

// The whole corpus as the pool: each shard a part of every iteration. 2 ranks are one shard, the others share out too.
TEST_F(RunMpiTest, GlobalModeGivesTheSameRowsOnAnyNumberOfRanksAndShards) {
  const std::vector<std::string> global = {"--pool", "global"};
  ASSERT_EQ(Shell("timeout 100" + Run("corpus4", "global", global)), 0);
  const std::string reference = Comparable("global");
  EXPECT_NE(reference, Reference());
  const std::pair<int, const char*> worlds[] = {
      {2, ""}, {3, "shards=0,1 workers=2"}, {5, "shards=0-3 workers=4"}, {8, "shards=1,3,5 workers=0,2,4,6,7"}};
  for (const auto& [ranks, layout] : worlds) {
    const std::string output = "global" + std::to_string(ranks);
    std::vector<std::string> options = global;
    if (*layout != '\0') options.insert(options.end(), {"--layout", layout});
    std::string printed;
    ASSERT_EQ(Shell(Mpirun(ranks) + Run("corpus4", output, options), &printed), 0) << printed;
    EXPECT_EQ(Comparable(output), reference) << ranks;
  }
}

// Sequences that hold a query, and neighbours in their place: found by the shards, judged by the coordinator.
TEST_F(RunMpiTest, TheLeakageGuardGivesTheSameRowsOnAnyNumberOfRanks) {
  std::vector<std::string> texts;
  for (int i = 0; i < kSequences; ++i) texts.push_back(SomeText(static_cast<uint64_t>(i)));
  for (int i = 0; i < 30; ++i) texts.push_back(fmt::format("{} {}", SomeText(static_cast<uint64_t>(1000 + i % 6)), i));
  WriteJsonl(base_ / "corpus.jsonl", texts);
  Build("leaky", 4, -1);
  const std::vector<std::string> drop = {"--guard", "drop"};
  ASSERT_EQ(Shell("timeout 100" + Run("leaky", "guard", drop)), 0);
  int64_t dropped = 0;
  for (const Row& row : LatestRows(Rows("guard"))) dropped += row.leak_dropped;
  EXPECT_GT(dropped, 0);
  for (const int ranks : {2, 3, 5}) {
    const std::string output = fmt::format("guard{}", ranks);
    std::string printed;
    ASSERT_EQ(Shell(Mpirun(ranks) + Run("leaky", output, drop), &printed), 0) << printed;
    EXPECT_EQ(Comparable(output), Comparable("guard")) << ranks;
    EXPECT_THAT(printed, HasSubstr("leakage guard: drop"));
  }
}

TEST_F(RunMpiTest, OneTwoAndFourShardsOfFourPartitionsGiveTheSameRows) {
  for (const auto& [shards, workers] : {std::pair{"0", "1-4"}, {"0,1", "2-4"}, {"0-3", "4"}}) {
    const std::string output = std::string("shards") + shards;
    const std::string layout = fmt::format("shards={} workers={}", shards, workers);
    std::string printed;
    ASSERT_EQ(Shell(Mpirun(5) + Run("corpus4", output, {"--layout", layout}), &printed), 0) << printed;
    EXPECT_EQ(Comparable(output), Reference()) << shards;
  }
}

TEST_F(RunMpiTest, RolesOnOtherRanksGiveTheSameRows) {
  std::string printed;
  ASSERT_EQ(
      Shell(Mpirun(5) + Run("corpus4", "roles", {"--layout", "coordinator=0 shards=1,2-4 workers=2,4"}), &printed), 0)
      << printed;
  EXPECT_EQ(Comparable("roles"), Reference());
  const std::string table = ReadFile(base_ / "roles/layout.txt");
  EXPECT_THAT(printed, HasSubstr(Printable("layout:\n" + table.substr(0, table.size() - 1))));
  EXPECT_EQ(std::ranges::count(table, '\n'), 6);
  EXPECT_THAT(table, HasSubstr("shard+worker"));
  EXPECT_EQ(Shell(Mpirun(2) + Run("corpus4", "noworker", {"--layout", "shards=0,1"}), &printed), 2);
  EXPECT_THAT(printed, HasSubstr("names no worker"));
  EXPECT_EQ(Shell(Mpirun(3) + Run("corpus2", "shards", {"--layout", "shards=0-2 workers=1"}), &printed), 2);
  EXPECT_THAT(printed, HasSubstr("3 ranks would be shards of a corpus with 2 partitions"));
}

// Rank 2 is another program, or has another setting.
TEST_F(RunMpiTest, TheRankThatDiffersIsNamed) {
  const fs::path other = fs::path(HULLFT_BINARY).parent_path() / "hullft_other_for_test";
  fs::copy_file(HULLFT_BINARY, other, fs::copy_options::overwrite_existing);
  std::ofstream(other, std::ios::app | std::ios::binary) << "another";
  std::string run = Run("corpus2", "odd"), odd = run, printed;
  odd.replace(odd.find(HULLFT_BINARY), std::string(HULLFT_BINARY).size(), other.string());
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(Shell(Mpirun(2) + run + " : -n 1" + odd, &printed), 2) << printed;
  EXPECT_THAT(printed, HasSubstr("rank 2 on " + comm::HostName() + " has another binary"));
  fs::remove(other);
  EXPECT_EQ(Shell(Mpirun(2) + run + " : -n 1" + Run("corpus2", "odd", {"--lr", "0.5"}), &printed), 2) << printed;
  EXPECT_THAT(printed, HasSubstr("rank 2"));
  EXPECT_THAT(printed, HasSubstr("another setting than the other ranks: 'lr = 0.5'"));
  EXPECT_EQ(Shell(Mpirun(2) + run + " : -n 1" + Run("corpus4", "odd"), &printed), 2) << printed;
  EXPECT_THAT(printed, HasSubstr("another setting than the other ranks: 'corpus = "));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(90));  // three runs; each has 100 s
  EXPECT_FALSE(fs::exists(base_ / "odd"));
}

// The signal comes to one rank, whichever; the run ends in order and the next one goes on.
TEST_F(RunMpiTest, ASignalToAnyRankEndsTheRunInOrder) {
  const std::pair<int, const char*> cases[] = {{0, "TERM"}, {1, "USR1"}, {2, "TERM"}};
  for (const auto& [rank, signal] : cases) {
    const std::string output = fmt::format("signal{}", rank);
    const std::string folder = (base_ / output).string();
    // layout.txt says which process a rank is.
    const std::string kill = fmt::format(
        "for i in $(seq 600); do [ -s {0}/results.jsonl ] && break; sleep 0.05; done; "
        "kill -{1} $(awk '$1 == {2} {{print $3}}' {0}/layout.txt)",
        folder, signal, rank);
    const std::string mpirun = "HULLFT_TEST_TASK_MS=200 " + Mpirun(3) + Run("corpus4", output);
    std::string printed;
    EXPECT_EQ(Shell(fmt::format("({}) & killer=$!; {}; status=$?; wait $killer; exit $status", kill, mpirun), &printed),
              130)
        << printed;
    const size_t done = Rows(output).size();
    EXPECT_GT(done, 0u) << printed;
    EXPECT_LT(done, static_cast<size_t>(kQueries)) << printed;
    ASSERT_EQ(Shell(Mpirun(3) + Run("corpus4", output), &printed), 0) << printed;
    EXPECT_EQ(Rows(output).size(), static_cast<size_t>(kQueries));
    EXPECT_EQ(Comparable(output), Reference());
  }
}

// It loses its task at the deadline; all others end, and the run with them. In one process and under mpirun.
TEST_F(RunMpiTest, AHungWorkerLosesItsTask) {
  const std::vector<std::string> options = {"--task-timeout", "3", "--grace", "1"};
  std::vector<std::string> in_process = options;
  in_process.insert(in_process.end(), {"--workers", "2", "--threads", "2"});
  const std::pair<std::string, std::string> cases[] = {
      {"timeout 100" + Run("corpus4", "hang_threads", in_process), "hang_threads"},
      {Mpirun(3) + Run("corpus4", "hang_mpi", options), "hang_mpi"}};
  for (const auto& [command, output] : cases) {
    std::string printed;
    const int status = Shell("export HULLFT_TEST_HANG=2:2; " + command, &printed);
    EXPECT_EQ(status, 0) << printed;
    EXPECT_THAT(printed, HasSubstr("a worker does not answer"));
    const std::vector<Row> rows = Rows(output);
    EXPECT_EQ(rows.size(), static_cast<size_t>(kQueries)) << printed;
    EXPECT_EQ(Comparable(output), Reference());
    EXPECT_GE(std::ranges::count_if(rows, [](const Row& row) { return row.attempts == 2; }), 1) << printed;
  }
}

}  // namespace
}  // namespace hullft::coordinator
