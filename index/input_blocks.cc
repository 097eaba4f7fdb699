#include "index/input_blocks.h"

#include <algorithm>
#include <numeric>

#include "common/error.h"
#include "index/byte_source.h"

namespace hullft::index {
namespace {
namespace fs = std::filesystem;

constexpr int64_t kInflation = 4;        // of compressed text, about
constexpr int64_t kFileCost = 64 << 10;  // opening a file, in bytes read

}  // namespace

std::vector<InputBlock> CutIntoBlocks(std::span<const InputFile> inputs, int64_t block_bytes) {
  HULLFT_CHECK(block_bytes > 0);
  std::vector<InputBlock> blocks;
  for (const InputFile& input : inputs) {
    const bool plain = input.is_text || ByteSource::IsPlain(input.path);
    std::error_code no_size;  // ignored: a pipe has none
    const auto measured = fs::is_regular_file(input.path) ? fs::file_size(input.path, no_size) : 0;
    const auto bytes = static_cast<int64_t>(no_size ? 0 : measured);
    if (input.is_text || !plain || bytes <= block_bytes) {
      blocks.push_back({input.number, 0, -1, bytes * (plain ? 1 : kInflation) + kFileCost});
      continue;
    }
    for (int64_t begin = 0; begin < bytes; begin += block_bytes) {
      const bool last = begin + block_bytes >= bytes;
      blocks.push_back({input.number, begin, last ? -1 : begin + block_bytes, std::min(block_bytes, bytes - begin)});
    }
  }
  if (blocks.size() >= 1u << 24)
    throw DataError("{} blocks of input are more than 2^24: join some files", blocks.size());
  return blocks;
}

std::vector<std::vector<int64_t>> DealBlocks(std::span<const InputBlock> blocks, int ranks) {
  std::vector<int64_t> order(blocks.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](int64_t a, int64_t b) {
    return blocks[static_cast<size_t>(a)].weight > blocks[static_cast<size_t>(b)].weight;
  });
  std::vector<std::vector<int64_t>> dealt(static_cast<size_t>(ranks));
  std::vector<int64_t> load(static_cast<size_t>(ranks), 0);
  for (const int64_t block : order) {
    const auto least = static_cast<size_t>(std::ranges::min_element(load) - load.begin());
    dealt[least].push_back(block);
    load[least] += blocks[static_cast<size_t>(block)].weight;
  }
  for (auto& of_rank : dealt) std::ranges::sort(of_rank);
  return dealt;
}

std::vector<BlockBase> BasesOf(std::span<const InputBlock> blocks, std::span<const InputCounts> counts,
                               int64_t first_file) {
  HULLFT_CHECK(blocks.size() == counts.size());
  std::vector<BlockBase> bases;
  int64_t record = 0, row = 0;
  for (size_t b = 0; b < blocks.size(); ++b) {
    if (b > 0 && blocks[b].file != blocks[b - 1].file) record = 0;
    bases.push_back({MakeId(first_file + blocks[b].file, record), row});
    record += counts[b].records;
    row += counts[b].good;
    if (record >= kMaxRecords) throw DataError("input file {} holds 2^40 records or more: cut it up", blocks[b].file);
  }
  return bases;
}

int64_t LinesBefore(const InputBlock& block, const InputFile& file) {
  const auto source = ByteSource::Open(file.path);
  std::vector<char> buffer(1 << 20);
  int64_t lines = 0;
  char last = '\n';
  for (int64_t left = block.begin; left > 0;) {
    const size_t n = source->Read(std::span(buffer).first(std::min<size_t>(buffer.size(), static_cast<size_t>(left))));
    if (n == 0) break;  // the file has shrunk
    lines += std::count(buffer.begin(), buffer.begin() + static_cast<int64_t>(n), '\n');
    last = buffer[n - 1];
    left -= static_cast<int64_t>(n);
  }
  return lines + (last == '\n' ? 0 : 1);  // a line that runs into the block belongs to the one before
}

}  // namespace hullft::index
