// What the environment says about how this process was started; no MPI is touched. Thread safety: free functions that
// read the environment.
#pragma once

#include <optional>
#include <string>

namespace hullft::comm {

// True when mpirun, or srun with more than one task, started this process: then `hullft run` takes part in an MPI
// world. A plain start, also inside an sbatch script's own shell, gives false.
bool InMpiLaunch();

// How many ranks the launcher started, where it says so.
struct LaunchedRanks {
  int count = 0;
  std::string variable;  // the environment variable that says it
};
std::optional<LaunchedRanks> RanksFromEnvironment();

// This process's number among them, where the launcher says it.
std::optional<int> LaunchedRank();

// Throws kUsage when the launcher started another number of ranks than are in the MPI world: N worlds of one rank each
// are what `srun` without the right PMI plug-in gives, with no error of its own.
void CheckWorldSize(int world_size);

// What srun's ranks on several nodes should know before MPI_Init, in which they can crash (docs/decisions/0030); empty
// where there is nothing to say, and in all ranks but the first.
std::string OpenFenceWarning();

// This machine's name, as gethostname(2) gives it.
std::string HostName();

}  // namespace hullft::comm
