// The input of a build cut into blocks that ranks read side by side: byte ranges of plain JSONL files, and every other
// file (compressed, or a text file) as a whole. Blocks follow the order of the input, and do not depend on the ranks.
//
// While it is read, a record is known by its block and its place there, because nobody knows yet how many records come
// before the block. When all blocks are read, their counts give each block's base, and a place its final id and row.
// Thread safety: free functions.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "index/inputs.h"

namespace hullft::index {

struct InputBlock {
  int64_t file = 0;             // place in the list of inputs
  int64_t begin = 0, end = -1;  // bytes; end -1: to the end of the file
  int64_t weight = 0;           // bytes to be read, about; of text
  template <class A>
  void Wire(A& a) {
    a(file, begin, end, weight);
  }
};

// Reads the files' sizes and first bytes. Throws kIo, kData as ByteSource::IsPlain.
std::vector<InputBlock> CutIntoBlocks(std::span<const InputFile> inputs, int64_t block_bytes);

// The blocks of each rank, ascending: the heaviest first, to the rank with the least so far.
std::vector<std::vector<int64_t>> DealBlocks(std::span<const InputBlock> blocks, int ranks);

// What the records of a block start from.
struct BlockBase {
  SequenceId first_id;    // of the block's record 0
  int64_t first_row = 0;  // good records of the whole input before the block
};

// counts: of each block. first_file: the number of the first file. Throws kData for a file of 2^40 records or more.
std::vector<BlockBase> BasesOf(std::span<const InputBlock> blocks, std::span<const InputCounts> counts,
                               int64_t first_file);

// The lines of the block's file before it; reads that part of the file.
int64_t LinesBefore(const InputBlock& block, const InputFile& file);

}  // namespace hullft::index
