// Runs a sweep: one `hullft run` after the other, each a process of its own, so that a crash takes one run only and a
// launcher (mpirun, srun) can spread it over machines. Thread safety: one thread.
//
// OUTPUT/NAME is the folder of a run, OUTPUT/NAME.config what it was started with, OUTPUT/untuned_scores the cache that
// all share, OUTPUT/sweep.json which cell is in which run (docs/formats/sweep.md).
#pragma once

#include <string>
#include <vector>

#include "coordinator/sweep/grid.h"
#include "coordinator/sweep/savings.h"

namespace hullft::coordinator {

struct SweepOutcome {
  int done_before = 0, done = 0;    // runs
  std::vector<std::string> failed;  // their names and statuses
  Savings savings;                  // when all are done
};

// Starts what is not done; a run with failed queries is started again. Goes on after a failed run. Throws kUsage when
// another sweep holds the folder or it holds another sweep's runs, kInterrupted when a run was stopped by a signal: the
// same sweep goes on from there. binary: the hullft to start.
SweepOutcome RunSweep(const Sweep& sweep, const std::string& binary);

}  // namespace hullft::coordinator
