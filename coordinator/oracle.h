// The linear minimisation oracle of one shard: for each of B queries the point of this shard with the largest score,
// the lowest id on ties (docs/method.md, section 2, "Over the whole corpus").
//
// One float32 matrix product of the shard's vectors with the B directions, in row blocks of about a megabyte of
// products, finds the few rows that can be the best one given float32's rounding (Trajectory::Float32Error); these are
// scored in float64. So the answer depends neither on the BLAS, nor on blocks, threads or how rows are dealt out.
// Letters: B queries, d width. Thread safety: one thread calls Ask.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "coordinator/select/trajectory.h"
#include "index/block_scan.h"
#include "index/corpus.h"

namespace hullft::coordinator {

// Some rows of a shard, and their ids; not owned.
struct OraclePart {
  index::EmbeddingRows rows;
  std::span<const index::SequenceId> ids;
};

struct OracleAnswer {
  double score = -std::numeric_limits<double>::infinity();  // so where the shard holds nothing
  uint64_t id = std::numeric_limits<uint64_t>::max();
  std::vector<float> row;
};

class Oracle {
 public:
  // Reads every row once, for the longest one; throws kData, naming the id, for a row that is not finite.
  Oracle(std::vector<OraclePart> parts, int d, int threads);

  // An answer for each trajectory.
  std::vector<OracleAnswer> Ask(std::span<const select::Trajectory* const> queries) const;

 private:
  const std::vector<OraclePart> parts_;
  const size_t d_;
  const int threads_;
  double longest_ = 0;
};

}  // namespace hullft::coordinator
