// What sharing work over the cells of a sweep has saved, by the rows' own times. Thread safety: free functions.
#pragma once

#include <vector>

#include "coordinator/study/run_data.h"
#include "coordinator/sweep/grid.h"

namespace hullft::coordinator {

struct Savings {
  double spent_ms = 0;  // of all stages of all rows
  // What the rows say the cells would have cost one by one: each its finetuning up to its N, an untuned score and a
  // score after it, and the selection of its run (a little more than a smaller N's own).
  double alone_ms = 0;
  int64_t untuned_scores = 0, untuned_computed = 0;  // asked for by the cells; computed
  int64_t pools = 0;                                 // made, with the query's embedding, of as many as untuned_scores
};

// runs: aligned with sweep.runs.
Savings SavingsOf(const Sweep& sweep, const std::vector<study::RunData>& runs);

}  // namespace hullft::coordinator
