#include "coordinator/select/pool.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/error.h"
#include "coordinator/select/kernels.h"

namespace hullft::select {
namespace {

// Positions of the candidates, each id once.
std::vector<int> DistinctIds(std::span<const uint64_t> ids, std::span<const float> rows, size_t d) {
  std::vector<int> order(ids.size()), distinct;
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int a, int b) { return ids[a] != ids[b] ? ids[a] < ids[b] : a < b; });
  for (const int i : order) {
    if (distinct.empty() || ids[distinct.back()] != ids[i]) {
      distinct.push_back(i);
    } else if (!std::equal(&rows[i * d], &rows[i * d] + d, &rows[distinct.back() * d])) {
      throw DataError("sequence {} came with two different embeddings; the shards hold different corpora", ids[i]);
    }
  }
  return distinct;
}

}  // namespace

PoolOrder RescorePool(std::span<const uint64_t> ids, std::span<const float> rows, std::span<const float> target,
                      int k) {
  const size_t count = ids.size(), d = target.size();
  if (d == 0 || rows.size() != count * d) {
    throw DataError("re-scoring: {} candidates of width {} need {} values, there are {}", count, d, count * d,
                    rows.size());
  }
  for (size_t j = 0; j < d; ++j) {
    if (!std::isfinite(target[j]))
      throw DataError("the query's embedding is not finite at position {}: {}", j, target[j]);
  }
  const std::vector<double> wide(target.begin(), target.end());
  std::vector<double> scores(count);
  const double* const target_column[] = {wide.data()};
  double* const out[] = {scores.data()};
  BestKernels().gram_columns(rows.data(), static_cast<int>(count), static_cast<int>(d), target_column, 1, out);
  for (size_t i = 0; i < count;
       ++i) {  // finite floats cannot overflow a float64 sum of products, nor can others stay finite
    if (!std::isfinite(scores[i])) {
      throw DataError("the stored embedding of sequence {} is not finite; rebuild the index", ids[i]);
    }
  }
  PoolOrder pool;
  pool.rows = DistinctIds(ids, rows, d);
  std::sort(pool.rows.begin(), pool.rows.end(),
            [&](int a, int b) { return scores[a] != scores[b] ? scores[a] > scores[b] : ids[a] < ids[b]; });
  pool.rows.resize(std::min<size_t>(pool.rows.size(), std::max(k, 0)));
  for (const int i : pool.rows) {
    pool.ids.push_back(ids[i]);
    pool.scores.push_back(scores[i]);
  }
  return pool;
}

}  // namespace hullft::select
