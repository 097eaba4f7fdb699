// What keeps a run under mpirun from starting: the whole job ends soon and not with success, and says why, once.
#include <chrono>

#include "common/comm/launch.h"
#include "tests/coordinator/mpi_fixture.h"

namespace hullft::coordinator {
namespace {
using ::testing::HasSubstr;

class RunMpiStartTest : public RunMpiTest {
 protected:
  // Soon: the launcher and four processes come and go many times over before this, on a busy machine too; a rank that
  // is waited for would take longer.
  static constexpr std::chrono::seconds kSoon{80};

  static void FlipABit(const fs::path& file) {
    std::string bytes = ReadFile(file);
    bytes[bytes.size() - 3] = static_cast<char>(bytes[bytes.size() - 3] ^ 4);
    WriteFileAtomic(file, bytes);
  }
  static void ExpectEnd(const std::string& command, Code code, const std::string& message) {
    std::string printed;
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(Shell(command, &printed), ExitStatus(code)) << printed;
    EXPECT_LT(std::chrono::steady_clock::now() - begin, kSoon);
    EXPECT_THAT(printed, HasSubstr(message));
    EXPECT_EQ(printed.find(message), printed.rfind(message)) << "said more than once: " << printed;
  }
};

TEST_F(RunMpiStartTest, BadUsageIsSaidOnce) {
  ExpectEnd(Mpirun(3) + Run("corpus2", "none", {"--batch", "many"}), Code::kUsage, "--batch");
  ExpectEnd(Mpirun(3) + Run("corpus2", "none", {"--workers", "2"}), Code::kUsage, "--workers is for one process");
  EXPECT_FALSE(fs::exists(base_ / "none"));
}

TEST_F(RunMpiStartTest, WhatIsMissingOrDamagedIsSaidOnce) {
  ExpectEnd(Mpirun(3) + Run("nowhere", "none"), Code::kData, "nowhere");
  ExpectEnd(Mpirun(3) + Run("corpus2", "none", {"--model", base_ / "nomodel"}), Code::kData, "nomodel");
  fs::copy(base_ / "corpus4", base_ / "flipped", fs::copy_options::recursive);
  FlipABit(base_ / "flipped/part-00001/vectors.f32");
  const std::string layout = "shards=0,1 workers=2,3";
  ExpectEnd(Mpirun(4) + Run("flipped", "none", {"--stage", base_ / "disk", "--layout", layout}), Code::kData,
            "vectors.f32 has another checksum");
  // Without --stage the shard itself finds it.
  ExpectEnd(Mpirun(4) + Run("flipped", "none", {"--layout", layout}), Code::kData,
            "partition 1 on " + comm::HostName() + ": " + (base_ / "flipped/part-00001/vectors.f32").string() +
                " has another checksum");
  EXPECT_FALSE(fs::exists(base_ / "none"));
}

// Relative paths in two folders: the same arguments, but rank 2 sees another corpus there than the others.
TEST_F(RunMpiStartTest, TheRankWithAnotherCorpusIsNamed) {
  Build("other", 4, 7);  // with other tokens
  for (const char* corpus : {"corpus4", "corpus2", "other"}) {
    fs::create_directories(base_ / "seen" / corpus);
    fs::create_directory_symlink(base_ / corpus, base_ / "seen" / corpus / "corpus");
  }
  std::string run = Run("corpus", "none");
  const std::string absolute = base_ / "corpus'";
  run.replace(run.find(absolute), absolute.size(), "corpus'");
  const auto seeing = [](const char* corpus) { return fmt::format("--wdir {}/seen/{}", base_.string(), corpus); };
  // The digest does not tell how many partitions there are.
  for (const auto& [other, what] : {std::pair{"other", "corpus"}, {"corpus2", "number of partitions"}}) {
    ExpectEnd(Mpirun(2) + " " + seeing("corpus4") + run + " : -n 1 " + seeing(other) + run, Code::kUsage,
              fmt::format("rank 2 on {} has another {} than the other ranks", comm::HostName(), what));
  }
  EXPECT_FALSE(fs::exists(base_ / "none"));
}

TEST_F(RunMpiStartTest, AMissingPartitionEndsTheJobUnlessPartialIsAllowed) {
  fs::copy(base_ / "corpus4", base_ / "holed", fs::copy_options::recursive);
  const fs::path lost = base_ / "holed/part-00002";
  const auto parts = index::ReadCorpusInfo(base_ / "holed").parts;
  fs::remove_all(lost);
  const std::string layout = "shards=0,1 workers=2";
  ExpectEnd(Mpirun(3) + Run("holed", "none", {"--layout", layout}), Code::kData, "partition 2 on " + comm::HostName());
  EXPECT_FALSE(fs::exists(base_ / "none"));

  std::string printed;
  const std::string partial = Mpirun(3) + Run("holed", "partial", {"--layout", layout}) + " --allow-partial";
  ASSERT_EQ(Shell(partial + " 2>/dev/null", &printed), 0) << printed;
  const double coverage = 1 - static_cast<double>(parts[2].sequences) / kSequences;
  const std::vector<Row> rows = Rows("partial");
  ASSERT_EQ(rows.size(), static_cast<size_t>(kQueries));
  for (const Row& row : rows) EXPECT_DOUBLE_EQ(row.coverage, coverage);
  EXPECT_THAT(printed, ::testing::StartsWith(fmt::format("PARTIAL: only {:.2f}% of the corpus", 100 * coverage)));
}

// mpirun sees it, ends the others and names it.
TEST_F(RunMpiStartTest, ARankThatDiesWhileLoadingEndsTheJob) {
  std::string printed;
  EXPECT_EQ(Shell("export HULLFT_TEST_START=dies:2; " + Mpirun(3) + Run("corpus2", "none"), &printed), 137) << printed;
  EXPECT_THAT(printed, HasSubstr("rank 2"));
  EXPECT_THAT(printed, HasSubstr("on node " + comm::HostName()));
}

// The others wait for --start-timeout, and for what the end takes; whoever of them is first to give up names the rank.
TEST_F(RunMpiStartTest, ARankThatHangsWhileLoadingEndsTheJob) {
  for (const int rank : {0, 2}) {
    std::string printed;
    EXPECT_EQ(Shell(fmt::format("export HULLFT_TEST_START=hangs:{}; ", rank) + Mpirun(3) +
                        Run("corpus2", "none", {"--start-timeout", "4"}),
                    &printed),
              ExitStatus(Code::kPeer))
        << printed;
    EXPECT_THAT(printed, HasSubstr(fmt::format("not yet entered by rank {} on host {}", rank, comm::HostName())));
  }
  EXPECT_FALSE(fs::exists(base_ / "none"));
}

}  // namespace
}  // namespace hullft::coordinator
