// One run of the product at a given load, measured by its own rows. Thread safety: one thread per world.
#pragma once

#include <string>

#include "coordinator/bench/bench_world.h"
#include "coordinator/page/throughput.h"
#include "coordinator/run_rank.h"

namespace hullft::coordinator {

struct Load {
  std::string name;     // of the run's folder
  int workers = 1;      // ranks besides the first, which is coordinator and shard
  double offered = 0;   // queries a second that arrive; 0: all are there from the start
  int64_t queries = 0;  // the first so many; 0: all
};

// Collective over world. Runs `plan` into OUTPUT/NAME; on the first rank returns what its rows say. Throws kData where
// not one query was finished.
page::LoadPoint MeasureLoad(BenchWorld& world, const RunPlan& plan, const Load& load);

}  // namespace hullft::coordinator
