#include "common/comm/launch.h"

#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdlib>
#include <cstring>

#include "common/error.h"

namespace hullft::comm {
namespace {

// A whole number in an environment variable; nothing when it is unset or is none.
std::optional<int> NumberFrom(const char* variable) {
  const char* text = std::getenv(variable);
  if (text == nullptr) return std::nullopt;
  int number = 0;
  const char* end = text + std::strlen(text);
  const auto [stop, error] = std::from_chars(text, end, number);
  if (error != std::errc() || stop != end) return std::nullopt;
  return number;
}

// The tasks of the Slurm step this process is one of. An sbatch script's own shell has SLURM_NTASKS and SLURM_PROCID
// too, but no step number.
std::optional<LaunchedRanks> SlurmStepTasks() {
  if (!NumberFrom("SLURM_PROCID") || !NumberFrom("SLURM_STEP_ID")) return std::nullopt;
  for (const char* variable : {"SLURM_STEP_NUM_TASKS", "SLURM_NTASKS", "SLURM_NPROCS"}) {
    if (const auto count = NumberFrom(variable)) return LaunchedRanks{*count, variable};
  }
  return std::nullopt;
}

}  // namespace

std::optional<LaunchedRanks> RanksFromEnvironment() {
  // mpirun's own count goes first: inside a Slurm step it inherits the step's variables. PMI_SIZE: MPICH and pmi2.
  for (const char* variable : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}) {
    const auto count = NumberFrom(variable);
    if (count && *count > 0) return LaunchedRanks{*count, variable};
  }
  return SlurmStepTasks();
}

std::optional<int> LaunchedRank() {
  for (const char* variable : {"OMPI_COMM_WORLD_RANK", "PMI_RANK"}) {
    if (const auto rank = NumberFrom(variable)) return rank;
  }
  return SlurmStepTasks() ? NumberFrom("SLURM_PROCID") : std::nullopt;
}

bool InMpiLaunch() {
  if (NumberFrom("OMPI_COMM_WORLD_SIZE") || NumberFrom("PMI_SIZE")) return true;
  if (const auto step = SlurmStepTasks()) return step->count > 1;  // where pmix is the default, -n 1 has PMIX_RANK too
  return NumberFrom("PMIX_RANK").has_value();
}

void CheckWorldSize(int world_size) {
  const auto launched = RanksFromEnvironment();
  if (!launched || launched->count == world_size) return;
  throw Error(Code::kUsage,
              fmt::format("the launcher started {} ranks ({}), but this process is in an MPI world of {}",
                          launched->count, launched->variable, world_size),
              "start with `srun --mpi=pmix`, or with mpirun of the Open MPI that hullft was built with");
}

std::string OpenFenceWarning() {
  const char* fence = std::getenv("SLURM_PMIX_FENCE");
  const bool by_srun = SlurmStepTasks() && NumberFrom("PMIX_RANK") == 0 && !NumberFrom("OMPI_COMM_WORLD_SIZE");
  if (!by_srun || NumberFrom("SLURM_STEP_NUM_NODES").value_or(1) < 2 || fence != nullptr) return "";
  return "srun on several nodes: should ranks crash inside MPI_Init, `export SLURM_PMIX_FENCE=ring` before srun; "
         "hullft.sbatch does";
}

std::string HostName() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0) throw IoError("read", "this machine's host name");
  return name.data();
}

}  // namespace hullft::comm
