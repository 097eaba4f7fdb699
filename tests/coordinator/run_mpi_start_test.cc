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
  const fs::path file = base_ / "flipped/part-00001/vectors.faiss";
  std::string bytes = ReadFile(file);
  bytes[bytes.size() - 3] = static_cast<char>(bytes[bytes.size() - 3] ^ 4);
  WriteFileAtomic(file, bytes);
  ExpectEnd(Mpirun(4) + Run("flipped", "none", {"--stage", base_ / "disk", "--layout", "shards=0,1 workers=2,3"}),
            Code::kData, "vectors.faiss has another checksum");
  EXPECT_FALSE(fs::exists(base_ / "none"));
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
