// Runs of the program under mpirun, over the corpora of run_fixture.h.
#pragma once

#include <sys/wait.h>

#include "tests/coordinator/run_fixture.h"

namespace hullft::coordinator {

class RunMpiTest : public RunTest {
 protected:
  static std::string Mpirun(int ranks) {
    return "timeout 100 env OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 "
           "OMPI_MCA_mpi_yield_when_idle=1 " HULLFT_MPIRUN " --oversubscribe --bind-to none -n " +
           std::to_string(ranks);
  }
  static std::string Run(const std::string& corpus, const std::string& output,
                         const std::vector<std::string>& more = {}) {
    std::string command = std::string(" ") + HULLFT_BINARY + " run";
    for (const std::string& word : Arguments(corpus, output, more)) command += " '" + word + "'";
    return command;
  }
  // Exit status; what it printed is in `printed`.
  static int Shell(const std::string& command, std::string* printed = nullptr) {
    const fs::path log = base_ / "log";
    const int status = std::system(("(" + command + ") >" + log.string() + " 2>&1 </dev/null").c_str());
    if (printed != nullptr) *printed = ReadFile(log);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  static std::string Reference() {
    if (!fs::exists(base_ / "plain")) {
      EXPECT_EQ(Shell("timeout 100" + Run("corpus4", "plain")), 0);
    }
    return Comparable("plain");
  }
};

}  // namespace hullft::coordinator
