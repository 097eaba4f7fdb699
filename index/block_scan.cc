#include "index/block_scan.h"

#include <algorithm>
#include <atomic>

#include "common/blas.h"
#include "common/error.h"
#include "common/parallel.h"
#include "index/read_ahead.h"

namespace hullft::index {
namespace {

constexpr size_t kScores = size_t{1} << 18;  // of a block: 1 MiB
constexpr size_t kLeastRows = 1024, kMostRows = 8192;

struct RowBlock {
  size_t part, first, rows;
};

std::vector<RowBlock> CutIntoBlocks(std::span<const EmbeddingRows> parts, size_t directions) {
  const size_t size = std::clamp(kScores / std::max<size_t>(directions, 1), kLeastRows, kMostRows);
  std::vector<RowBlock> blocks;
  for (size_t p = 0; p < parts.size(); ++p) {
    for (size_t first = 0; first < parts[p].size(); first += size)
      blocks.push_back({p, first, std::min(size, parts[p].size() - first)});
  }
  return blocks;
}

}  // namespace

std::span<const float> EmbeddingRows::Get(size_t first, size_t count, std::vector<float>* scratch) const {
  const size_t row_bytes = dim * BytesOf(type);
  if (checks != nullptr) checks->Check(first * row_bytes, (first + count) * row_bytes);
  const auto stored = bytes.subspan(first * row_bytes, count * row_bytes);
  if (type == EmbeddingType::kF32) return {reinterpret_cast<const float*>(stored.data()), count * dim};
  scratch->resize(count * dim);
  Widen({reinterpret_cast<const char*>(stored.data()), stored.size()}, type, *scratch);
  return *scratch;
}

void EmbeddingRows::Prefetch(std::span<const int64_t> rows) const {
  const size_t row_bytes = dim * BytesOf(type);
  const size_t unit = checks != nullptr ? kCheckedBlock : 1;  // what reading a row for the first time reads
  std::vector<std::span<const std::byte>> parts;
  for (const int64_t row : rows) {
    const size_t begin = static_cast<size_t>(row) * row_bytes / unit * unit;
    const size_t end = std::min((static_cast<size_t>(row + 1) * row_bytes + unit - 1) / unit * unit, bytes.size());
    parts.push_back(bytes.subspan(begin, end - begin));
  }
  ReadAheadAll(parts);
}

void ScanBlocks(std::span<const EmbeddingRows> parts, std::span<const float> directions, size_t dim, int threads,
                const std::function<void(size_t, const ScoreBlock&)>& take) {
  const size_t count = directions.size() / dim;
  HULLFT_CHECK(directions.size() == count * dim);
  if (count == 0) return;
  const std::vector<RowBlock> blocks = CutIntoBlocks(parts, count);
  std::atomic<size_t> next = 0;
  ParallelFor(threads, threads, [&](int64_t thread) {
    const BlasThreads alone(1);
    std::vector<float> scores, widened;
    const int columns = static_cast<int>(count), width = static_cast<int>(dim);
    const float one = 1, zero = 0;
    for (size_t b = next++; b < blocks.size(); b = next++) {
      const RowBlock& block = blocks[b];
      if (const size_t ahead = b + static_cast<size_t>(threads); ahead < blocks.size()) {
        const EmbeddingRows& next_rows = parts[blocks[ahead].part];
        const size_t row_bytes = dim * BytesOf(next_rows.type);
        ReadAhead(next_rows.bytes.subspan(blocks[ahead].first * row_bytes, blocks[ahead].rows * row_bytes));
      }
      const int rows = static_cast<int>(block.rows);
      scores.resize(block.rows * count);
      const float* values = parts[block.part].Get(block.first, block.rows, &widened).data();
      sgemm_("T", "N", &rows, &columns, &width, &one, values, &width, directions.data(), &width, &zero, scores.data(),
             &rows);
      take(static_cast<size_t>(thread), {block.part, block.first, block.rows, scores.data()});
    }
  });
}

}  // namespace hullft::index
