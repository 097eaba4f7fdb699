// What happens to a whole MPI job when something goes wrong in it: starts comm_mpi_test --mode ... under mpirun.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "common/error.h"

namespace hullft::comm {
namespace {

using testing::HasSubstr;

struct Outcome {
  int status = -1;     // exit status; 124: it hung
  std::string output;  // standard output and error of all ranks
};

Outcome RunJob(int ranks, const std::string& mode) {
  setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
  setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
  const std::string command =
      fmt::format("timeout -k 5 40 {} -n {} {} --mode {} 2>&1", HULLFT_MPIRUN, ranks, HULLFT_COMM_MPI_TEST, mode);
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) throw IoError("start", command);
  Outcome outcome;
  std::array<char, 4096> buffer{};
  while (const size_t size = fread(buffer.data(), 1, buffer.size(), pipe)) outcome.output.append(buffer.data(), size);
  const int status = pclose(pipe);
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return outcome;
}

TEST(MpiFaults, AbortEndsTheJobWithItsReasonAndStatus) {
  const Outcome job = RunJob(3, "abort");
  EXPECT_EQ(job.status, 3) << job.output;
  EXPECT_THAT(job.output, testing::ContainsRegex("hullft: rank 1 on host [^:]+: disk on fire"));
}

TEST(MpiFaults, KilledRankEndsTheJob) {
  const Outcome job = RunJob(3, "killed");
  EXPECT_NE(job.status, 0) << job.output;
  EXPECT_NE(job.status, 124) << job.output;
}

TEST(MpiFaults, EndWithoutShutdownAbortsTheJob) {
  const Outcome job = RunJob(3, "escape");
  EXPECT_EQ(job.status, ExitStatus(Code::kInternal)) << job.output;
  EXPECT_THAT(job.output, HasSubstr("without an orderly shutdown"));
}

TEST(MpiFaults, RankThatDoesNotComeToTheEndIsNamed) {
  const Outcome job = RunJob(2, "no-goodbye");
  EXPECT_EQ(job.status, ExitStatus(Code::kPeer)) << job.output;
  EXPECT_THAT(job.output, HasSubstr("at the end of the run no goodbye came from rank 1 on host"));
}

TEST(MpiFaults, MessagesNobodyReceivesDoNotHoldUpTheEnd) {
  const Outcome job = RunJob(3, "drain");
  EXPECT_EQ(job.status, 0) << job.output;
}

TEST(MpiFaults, WorldsOfOneRankUnderSrunAreRefused) {
  const Outcome job = RunJob(1, "refused");
  EXPECT_EQ(job.status, ExitStatus(Code::kUsage)) << job.output;
  EXPECT_THAT(job.output,
              HasSubstr("the launcher started 4 ranks (SLURM_NTASKS), but this process is in an MPI world of 1"));
  EXPECT_THAT(job.output, HasSubstr("srun --mpi=pmix"));
}

TEST(MpiFaults, WaitingRankLeavesTheCoreAlone) {
  const Outcome job = RunJob(2, "idle");
  EXPECT_EQ(job.status, 0) << job.output;
  std::printf("%s", job.output.c_str());
  for (const std::string rank : {"idle rank 0: ", "idle rank 1: "}) {
    const auto at = job.output.find(rank);
    ASSERT_NE(at, std::string::npos) << job.output;
    EXPECT_LT(std::atof(job.output.c_str() + at + rank.size()), 20) << "polls without rest";
  }
}

}  // namespace
}  // namespace hullft::comm
