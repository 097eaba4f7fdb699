// How much of the exact answer an index finds, measured when it is built: `queries` sequences of the corpus are looked
// up with rising effort, and what was found is compared with reading every row. Thread safety: free functions.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "index/index_type.h"

namespace hullft::index {

class Partition;

struct RecallPoint {
  int effort = 0;     // nprobe or efSearch
  double recall = 0;  // mean share of the K nearest that were found
};

struct Recall {
  int k = 0, queries = 0;          // 0: not measured (Flat finds all)
  double target = 0;               // what was asked for
  int effort = 0;                  // the least that reaches it, or the most there is: what searches use
  std::vector<RecallPoint> curve;  // by rising effort

  // The measured recall of an effort: of the largest measured one not above it; 0 when there is none.
  double Of(int used_effort) const;
};

struct RecallSettings {
  int k = 200, queries = 200;
  double target = 0.95;
  int effort = 0;     // that searches go on to use, whatever the target; 0: chosen
  uint64_t seed = 1;  // of the choice of the queries
  int threads = 1;
};

// Over all partitions of a corpus together. Reads every embedding once.
Recall MeasureRecall(std::span<const std::unique_ptr<Partition>> partitions, const IndexType& type,
                     const RecallSettings& settings);

}  // namespace hullft::index
