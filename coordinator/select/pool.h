// The exact pool of a query: candidates that shards found with their own search kernels are scored again in float64
// from the stored embeddings and put into one total order, so that the pool is the same on 1 shard or 64, in any batch
// (docs/method.md). Letters: C candidates, K pool size, d width. Thread safety: free functions, reentrant.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace hullft::select {

struct PoolOrder {
  std::vector<int> rows;       // positions among the candidates, by (score descending, id ascending), at most K
  std::vector<uint64_t> ids;   // aligned
  std::vector<double> scores;  // aligned: <x, t> in float64, the order of additions of kernels.h
};

// ids [C], rows float32 [C][d] row-major, target float32 [d]. An id given twice (two shards, or a margin that overlaps)
// is kept once. Throws kData for sizes that do not fit, values that are not finite (naming the id), or one id with two
// rows.
PoolOrder RescorePool(std::span<const uint64_t> ids, std::span<const float> rows, std::span<const float> target, int k);

}  // namespace hullft::select
