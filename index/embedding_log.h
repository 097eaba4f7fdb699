// Tokens and embeddings of a partition's sequences while it is built: an append-only file of batches. A killed build
// loses none that Append has returned from; a machine that dies, those of the last second. Rows are in the order of the
// StagedPartition.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <vector>

namespace hullft::index {

class EmbeddingLog {
 public:
  // Opens or creates; a batch that was not written whole is cut off. dim 0: of tokens alone.
  EmbeddingLog(std::filesystem::path path, int dim);
  int64_t rows() const { return rows_; }
  // embeddings: row-major [tokens.size()][dim].
  void Append(std::span<const std::vector<int32_t>> tokens, std::span<const float> embeddings);
  // Every row in order; the spans are valid until ForEach returns.
  void ForEach(const std::function<void(int64_t row, std::span<const int32_t> tokens,
                                        std::span<const float> embedding)>& visit) const;

 private:
  const std::filesystem::path path_;
  const size_t dim_;
  int64_t rows_ = 0;
  std::chrono::steady_clock::time_point synced_{};
};

}  // namespace hullft::index
