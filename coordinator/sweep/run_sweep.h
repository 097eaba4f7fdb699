// Runs a sweep: its jobs one after the other, each a `hullft run --grid` in a process of its own, so that a crash takes
// one job only and a launcher (mpirun, srun) can spread it over machines. All rows go to one journal. Thread safety:
// one thread.
//
// OUTPUT is a run folder that holds a grid (docs/formats/sweep.md): results.jsonl and what belongs to it, sweep.json
// which cell is in which setting, untuned_scores the cache that all jobs share, jobN.config and jobN.grid what a job is
// started with, jobN.done when all its rows are there.
#pragma once

#include <string>
#include <vector>

#include "coordinator/sweep/grid.h"
#include "coordinator/sweep/savings.h"

namespace hullft::coordinator {

struct SweepOutcome {
  int done_before = 0, done = 0;    // settings
  std::vector<std::string> failed;  // jobs and their exit statuses
  Savings savings;                  // when all are done
};

// Starts what is not done; a job with failed queries is started again. Goes on after a failed job. Throws kUsage when
// another sweep holds the folder or it holds another sweep's runs, kInterrupted when a job was stopped by a signal: the
// same sweep goes on from there. binary: the hullft to start.
SweepOutcome RunSweep(const Sweep& sweep, const std::string& binary);

// The rows of a sweep that is done, aligned with sweep.runs.
std::vector<study::RunData> RunsOf(const Sweep& sweep);

}  // namespace hullft::coordinator
