#include "common/comm/launch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "common/error.h"
#include "tests/caught.h"

namespace hullft::comm {
namespace {

// An environment with only these of the variables that matter.
class Launch : public testing::Test {
 protected:
  static void Set(const std::map<std::string, std::string>& values) {
    for (const char* name :
         {"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "PMI_SIZE", "PMIX_RANK", "SLURM_PROCID", "SLURM_STEP_ID",
          "SLURM_NTASKS", "SLURM_NPROCS", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_NUM_NODES", "SLURM_PMIX_FENCE"}) {
      unsetenv(name);
    }
    for (const auto& [name, value] : values) setenv(name.c_str(), value.c_str(), 1);
  }
  void TearDown() override { Set({}); }
};

TEST_F(Launch, PlainStart) {
  Set({});
  EXPECT_FALSE(InMpiLaunch());
  EXPECT_FALSE(RanksFromEnvironment());
  CheckWorldSize(1);
}

TEST_F(Launch, ShellOfAnSbatchScriptIsAPlainStart) {
  Set({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}, {"SLURM_NPROCS", "4"}});
  EXPECT_FALSE(InMpiLaunch());
  EXPECT_FALSE(LaunchedRank());
  EXPECT_FALSE(RanksFromEnvironment());
}

TEST_F(Launch, Mpirun) {
  Set({{"OMPI_COMM_WORLD_SIZE", "3"}, {"OMPI_COMM_WORLD_RANK", "1"}, {"PMIX_RANK", "1"}});
  EXPECT_TRUE(InMpiLaunch());
  EXPECT_EQ(LaunchedRank(), 1);
  EXPECT_EQ(RanksFromEnvironment()->count, 3);
  CheckWorldSize(3);
  EXPECT_THROW(CheckWorldSize(1), Error);
}

TEST_F(Launch, MpirunInsideAnSbatchScript) {
  Set({{"OMPI_COMM_WORLD_SIZE", "2"}, {"SLURM_PROCID", "0"}, {"SLURM_STEP_ID", "0"}, {"SLURM_NTASKS", "1"}});
  CheckWorldSize(2);
}

TEST_F(Launch, SrunOnSeveralNodesNeedsTheRing) {
  std::map<std::string, std::string> srun = {{"PMIX_RANK", "0"},
                                             {"SLURM_PROCID", "0"},
                                             {"SLURM_STEP_ID", "0"},
                                             {"SLURM_NTASKS", "4"},
                                             {"SLURM_STEP_NUM_NODES", "2"}};
  const auto warning_with = [&](const std::string& name, const std::string& value) {
    std::map<std::string, std::string> changed = srun;
    changed[name] = value;
    Set(changed);
    return OpenFenceWarning();
  };
  EXPECT_THAT(warning_with("SLURM_NTASKS", "4"), testing::HasSubstr("SLURM_PMIX_FENCE=ring"));
  EXPECT_EQ(warning_with("SLURM_PMIX_FENCE", "ring"), "");
  EXPECT_EQ(warning_with("SLURM_STEP_NUM_NODES", "1"), "");
  EXPECT_EQ(warning_with("PMIX_RANK", "1"), "");             // one line is enough
  EXPECT_EQ(warning_with("OMPI_COMM_WORLD_SIZE", "4"), "");  // mpirun has fences of its own
  Set({});
  EXPECT_EQ(OpenFenceWarning(), "");
}

TEST_F(Launch, SrunWithoutTheRightPmiIsRefused) {
  Set({{"SLURM_PROCID", "2"}, {"SLURM_STEP_ID", "0"}, {"SLURM_NTASKS", "4"}});
  EXPECT_TRUE(InMpiLaunch());
  EXPECT_EQ(LaunchedRank(), 2);
  CheckWorldSize(4);
  const Error error = Caught([] { CheckWorldSize(1); });
  EXPECT_EQ(error.code(), Code::kUsage);
  EXPECT_EQ(error.message(), "the launcher started 4 ranks (SLURM_NTASKS), but this process is in an MPI world of 1");
  EXPECT_THAT(error.hint(), testing::HasSubstr("srun --mpi=pmix"));
}

TEST_F(Launch, StepOfFewerTasksThanItsJob) {
  Set({{"SLURM_PROCID", "1"}, {"SLURM_STEP_ID", "3"}, {"SLURM_NTASKS", "8"}, {"SLURM_STEP_NUM_TASKS", "2"}});
  EXPECT_EQ(RanksFromEnvironment()->count, 2);
  Set({{"SLURM_PROCID", "0"},
       {"SLURM_STEP_ID", "3"},
       {"SLURM_NTASKS", "8"},
       {"SLURM_STEP_NUM_TASKS", "1"},
       {"PMIX_RANK", "0"}});
  EXPECT_FALSE(InMpiLaunch()) << "srun -n 1 is a plain run";
}

}  // namespace
}  // namespace hullft::comm
