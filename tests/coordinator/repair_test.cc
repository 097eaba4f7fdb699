// Bits that change between a corpus and a worker: found, asked for again, and without a trace in the rows. The faults
// are those of common/test_faults.h.
#include "tests/coordinator/mpi_fixture.h"

namespace hullft::coordinator {
namespace {
using ::testing::HasSubstr;

class RepairTest : public RunMpiTest {
 protected:
  // The rows of an undisturbed run, in spite of `faults`; what it printed.
  static std::string ExpectRepaired(const std::string& output, const std::string& command, const std::string& faults) {
    std::string printed;
    EXPECT_EQ(Shell("export HULLFT_TEST_FAULTS=" + faults + "; " + command, &printed), 0) << faults << "\n" << printed;
    EXPECT_EQ(Rows(output).size(), static_cast<size_t>(kQueries)) << faults;
    EXPECT_EQ(Comparable(output), Reference()) << faults;
    return printed;
  }
};

TEST_F(RepairTest, TokensThatChangeBetweenShardAndWorkerAreFoundAndFetchedAgain) {
  const std::string printed =
      ExpectRepaired("tokens", "timeout 100" + Run("corpus4", "tokens"), "0:tokens:1,0:tokens:7");
  EXPECT_THAT(printed, HasSubstr("is chosen for again: training sequence"));
  EXPECT_THAT(printed, HasSubstr("changed on its way to the worker"));
  ExpectRepaired("tokens_mpi", Mpirun(5) + Run("corpus4", "tokens_mpi", {"--layout", "shards=0-2 workers=3,4"}),
                 "1:tokens:1,2:tokens:2");
}

TEST_F(RepairTest, TokensThatAreReadWronglyAreReadAgain) {
  ExpectRepaired("read", "timeout 100" + Run("corpus4", "read"), "0:read:1,0:read:4");
}

// Damage that stays is a failed row, not a wrong one.
TEST_F(RepairTest, TokensThatChangeEveryTimeFailTheirQueryOnly) {
  std::string every = "0:tokens:1";
  for (int n = 2; n < 200; ++n) every += fmt::format(",0:tokens:{}", n);
  std::string printed;
  Shell("export HULLFT_TEST_FAULTS=" + every + "; timeout 100" + Run("corpus4", "always", {"--limit", "3"}), &printed);
  const std::vector<Row> rows = Rows("always");
  ASSERT_EQ(rows.size(), 3u) << printed;
  for (const Row& row : rows) {
    EXPECT_FALSE(row.ok);
    EXPECT_THAT(row.reason, HasSubstr("changed on its way to the worker"));
  }
}

// Whichever message it is: of one process, of one shard and of three.
TEST_F(RepairTest, MessagesThatChangeAreAskedForAgain) {
  const std::string one = ExpectRepaired("flip_one", "timeout 100" + Run("corpus4", "flip_one"),
                                         "0:flip:1,0:flip:3,0:flip:6,0:flip:11,0:flip:17,0:flip:24");
  EXPECT_THAT(one, HasSubstr("came damaged and is asked for again"));
  for (const int rank : {0, 2, 4}) {
    const std::string output = fmt::format("flip{}", rank);
    const std::string command = Mpirun(5) + Run("corpus4", output, {"--layout", "shards=0-2 workers=3,4"});
    ExpectRepaired(output, command, fmt::format("{0}:flip:2,{0}:flip:5,{0}:flip:9,{0}:flip:14", rank));
  }
}

TEST_F(RepairTest, ParanoidGivesTheSameRows) {
  std::string printed;
  ASSERT_EQ(Shell("timeout 100" + Run("corpus4", "paranoid", {"--paranoid", "--check-weights"}), &printed), 0)
      << printed;
  EXPECT_EQ(Comparable("paranoid"), Reference());
}

TEST_F(RepairTest, VerifyComputesRowsAgain) {
  Reference();
  const std::string verify = "timeout 100 " HULLFT_BINARY " verify '" + (base_ / "plain").string() + "'";
  std::string printed;
  EXPECT_EQ(Shell(verify + " --rows 4 --tolerance 0", &printed), 0) << printed;
  EXPECT_THAT(printed, HasSubstr("4 of 4 rows are as they were written"));
  EXPECT_THAT(printed, HasSubstr(": the same bits"));

  // A row that somebody changed and sealed again.
  fs::copy(base_ / "plain", base_ / "forged", fs::copy_options::recursive);
  std::vector<Row> rows = Rows("forged");
  rows[3].after.rolling *= 1.001;
  rows[5].counts[0] += 1;
  std::string text;
  for (const Row& row : rows) text += SealedLine(row) + "\n";
  WriteFileAtomic(base_ / "forged/results.jsonl", text);
  const std::string forged = "timeout 100 " HULLFT_BINARY " verify '" + (base_ / "forged").string() + "'";
  EXPECT_EQ(Shell(forged + " --rows 10", &printed), 1) << printed;
  EXPECT_THAT(printed, HasSubstr("8 of 10 rows are as they were written"));
  EXPECT_THAT(printed, HasSubstr(fmt::format("query {}: after: ", rows[3].query)));
  EXPECT_THAT(printed, HasSubstr(fmt::format("query {}: counts: ", rows[5].query)));
}

// Settings of a grid share queries and pools, and each is a task of its own when something of it is damaged.
TEST_F(RepairTest, AGridIsRepairedAndVerifiedByTask) {
  std::ofstream(base_ / "grid") << R"({"settings": {"r1": {"refresh": "1"}, "r3": {"refresh": "3"},
                                                    "near": {"method": "knn"}}})";
  const std::vector<std::string> grid = {"--grid", (base_ / "grid").string()};
  std::string printed;
  ASSERT_EQ(Shell("timeout 100" + Run("corpus4", "grid_plain", grid), &printed), 0) << printed;
  ASSERT_EQ(Rows("grid_plain").size(), 3u * kQueries);
  for (const std::string faults : {"0:tokens:1,0:tokens:7", "0:flip:1,0:flip:3,0:flip:6,0:flip:11"}) {
    const std::string output = "grid_" + faults.substr(2, 4);
    const std::string command = "export HULLFT_TEST_FAULTS=" + faults + "; timeout 100" + Run("corpus4", output, grid);
    EXPECT_EQ(Shell(command, &printed), 0) << faults << "\n" << printed;
    EXPECT_THAT(printed, HasSubstr(output == "grid_toke" ? "is chosen for again: training sequence"
                                                         : "came damaged and is asked for again"));
    EXPECT_EQ(Rows(output).size(), 3u * kQueries) << faults;
    EXPECT_EQ(Comparable(output), Comparable("grid_plain")) << faults;
  }
  const std::string verify = "timeout 100 " HULLFT_BINARY " verify '" + (base_ / "grid_plain").string() + "'";
  EXPECT_EQ(Shell(verify + " --rows 5 --tolerance 0", &printed), 0) << printed;
  EXPECT_THAT(printed, HasSubstr("5 of 5 rows are as they were written"));
}

TEST_F(RepairTest, VerifyRefusesAnotherCorpus) {
  Reference();
  fs::copy(base_ / "plain", base_ / "moved", fs::copy_options::recursive);
  std::string config = ReadFile(base_ / "moved/config"), printed;
  const std::string corpus = (base_ / "corpus4").string();
  Build("other", 4, 5);
  config.replace(config.find(corpus), corpus.size(), (base_ / "other").string());
  WriteFileAtomic(base_ / "moved/config", config);
  EXPECT_EQ(Shell("timeout 100 " HULLFT_BINARY " verify '" + (base_ / "moved").string() + "'", &printed), 2);
  EXPECT_THAT(printed, HasSubstr("holds a run with corpus = "));
}

}  // namespace
}  // namespace hullft::coordinator
