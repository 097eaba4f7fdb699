#include "coordinator/commands/end_job.h"

#include <unistd.h>

#include <cstdio>

namespace hullft::coordinator {

void EndJob(comm::MpiWorld& mpi, const std::optional<Error>& failure, std::chrono::seconds wait) {
  const bool first = mpi.world().rank() == 0;
  try {
    mpi.Shutdown(comm::After(wait));
  } catch (const Error& error) {  // a rank hangs; what went wrong before says more of why
    mpi.Abort(failure ? failure->what() : error.what(), ExitStatus(failure ? failure->code() : error.code()));
  }
  if (first && failure) throw *failure;
  if (first) return;
  // At once: when rank 0 has gone with a failure, srun ends the ranks that are left, and the highest status of a rank
  // is the job's: 143, of one that was ended in its last clean-up, would hide the failure's.
  std::fflush(nullptr);  // ignored: results are rank 0's
  ::_exit(0);
}

}  // namespace hullft::coordinator
