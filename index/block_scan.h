// Scores of many stored embeddings for a few directions: float32 matrix products in blocks of rows of about a megabyte
// of scores. Each thread takes block after block and multiplies alone, so that no thread waits for another before the
// end. The one loop under the flat search and under Frank-Wolfe over the whole corpus. Rounding depends on the BLAS and
// on the number of directions: what is read off the scores must be scored again to be exact.
// Letters: n rows, d width, B directions. Thread safety: free functions; EmbeddingRows is a view.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "index/block_checks.h"
#include "index/embedding_type.h"

namespace hullft::index {

// n embeddings as they are stored, row-major [n][d]; not owned.
struct EmbeddingRows {
  std::span<const std::byte> bytes;
  EmbeddingType type = EmbeddingType::kF32;
  size_t dim = 0;
  const BlockChecks* checks = nullptr;  // of bytes; what is read is checked first

  size_t size() const { return dim == 0 ? 0 : bytes.size() / (dim * BytesOf(type)); }
  // Rows [first, first + count) as float32: of a float32 storage the stored ones, else in *scratch. Throws kData for
  // bytes that are not what was stored.
  std::span<const float> Get(size_t first, size_t count, std::vector<float>* scratch) const;
  // Begins to read these rows, without waiting, where they are mapped and not in memory.
  void Prefetch(std::span<const int64_t> rows) const;
  static EmbeddingRows Of(std::span<const float> values, size_t dim) {
    return {std::as_bytes(values), EmbeddingType::kF32, dim, nullptr};
  }
};

// A block of scores: direction q and row first + i of a part have scores[q * rows + i].
struct ScoreBlock {
  size_t part = 0, first = 0, rows = 0;
  const float* scores = nullptr;
};

// Calls take(thread, block) for every block of every part; blocks of one thread come one after the other, in rising
// order. directions: row-major [B][d]. take runs on `threads` threads at once.
void ScanBlocks(std::span<const EmbeddingRows> parts, std::span<const float> directions, size_t dim, int threads,
                const std::function<void(size_t thread, const ScoreBlock& block)>& take);

}  // namespace hullft::index
