// One rank's part of `hullft run`: every rank of the world calls RunRank with the same plan. Which roles it plays comes
// out of the layout; each role runs on a thread of its own, the coordinator on the caller's.
//
// Nothing but the communicator connects the ranks: threads of one process or processes of an MPI job are the same to
// it.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "common/comm/communicator.h"
#include "coordinator/run_stats.h"
#include "coordinator/settings.h"

namespace hullft::coordinator {

struct RunPlan {
  RunSettings settings;  // after Finish
  Identity options;      // the options that change results
  std::string config;    // OptionTable::ConfigText, for the run folder
  std::string version;
  std::string binary;  // hash of the program's file: ranks with another one are refused
};

// What differs from rank to rank.
struct RankContext {
  int threads = 1;                                // compute threads of this rank's worker
  const std::atomic<int>* stop = nullptr;         // a signal's number, on any rank, asks the run to end in order
  std::function<void(const std::string&)> print;  // rank 0: takes the tables at the end
  double arrivals_per_second = 0;  // rank 0: queries come one by one at this rate; 0: all are there from the start
};

struct RunOutcome {
  int64_t queries = 0, skipped = 0, finished = 0, failed = 0;  // finished and failed: in this run
  bool stopped = false;                                        // a signal ended it before all queries were done
  RunStats stats;
  bool workers_left = true;  // every worker has said Bye; false: one hangs, and joining its thread would wait for it
};

// Collective over world. On rank 0 returns the outcome; on the others an empty one. Every rank throws when the ranks do
// not agree or a role fails; the journal is whole in any case. `leave` is called on rank 0, after everything is durable
// and printed, when a worker hangs: it must end the process (joining the worker's thread would wait for ever).
RunOutcome RunRank(comm::Communicator& world, const RunPlan& plan, const RankContext& context,
                   const std::function<void(const RunOutcome&)>& leave);

// The whole run in this process: W worker ranks as threads, or one rank with all roles (settings.workers < 2).
RunOutcome RunInProcess(const RunPlan& plan, const RankContext& context,
                        const std::function<void(const RunOutcome&)>& leave);

}  // namespace hullft::coordinator
