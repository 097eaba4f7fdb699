// Tokens and embeddings of a partition's sequences while it is built: an append-only file of batches, each durable once
// Append returns, so that an interrupted build loses one batch at most. Rows are in the order of the StagedPartition.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <vector>

namespace hullft::index {

class EmbeddingLog {
 public:
  // Opens or creates; a batch that was not written whole is cut off.
  EmbeddingLog(std::filesystem::path path, int dim);
  int64_t rows() const { return rows_; }
  // embeddings: row-major [tokens.size()][dim].
  void Append(std::span<const std::vector<int32_t>> tokens, std::span<const float> embeddings);
  // Every row in order; the spans are valid during the call.
  void ForEach(const std::function<void(int64_t row, std::span<const int32_t> tokens,
                                        std::span<const float> embedding)>& visit) const;

 private:
  const std::filesystem::path path_;
  const size_t dim_;
  int64_t rows_ = 0;
};

}  // namespace hullft::index
