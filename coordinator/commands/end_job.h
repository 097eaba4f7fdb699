// The end of a command that ran on the ranks of an MPI job.
#pragma once

#include <chrono>
#include <optional>

#include "common/comm/mpi.h"
#include "common/error.h"

namespace hullft::coordinator {

// Collective: every rank comes here when its part is done or has failed. Waits so long for the others, then aborts the
// job. Rank 0 throws `failure`, or returns and goes on alone; the others end here, without a word and with exit status
// 0: they met the same failure or told rank 0 theirs, and the job's end is rank 0's. A signal that ends the process
// must be handled by the caller.
void EndJob(comm::MpiWorld& mpi, const std::optional<Error>& failure, std::chrono::seconds wait);

}  // namespace hullft::coordinator
