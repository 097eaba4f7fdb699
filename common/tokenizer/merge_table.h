// The merges of a byte pair encoding and the algorithm that applies them. Internal to common/tokenizer.
// Thread safety: MergeAll may be called from any thread once the table is filled.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace hullft::tokenizer {

class MergeTable {
 public:
  // merges: how many will be added at most.
  explicit MergeTable(size_t merges = 0);

  // The pair (left, right) becomes `joined`; the lower the rank, the earlier. A pair added twice takes the later rank,
  // as in the reference.
  void Add(int32_t left, int32_t right, int32_t rank, int32_t joined);

  struct Merge {
    int32_t rank, joined;
  };
  // Null when the pair does not merge.
  const Merge* Find(int32_t left, int32_t right) const;

  // Merges the ids from index `begin` to the end until no pair merges, always the pair of the lowest rank, the leftmost
  // among equals. O(n log n) for n ids.
  void MergeAll(std::vector<int32_t>* ids, size_t begin) const;

 private:
  struct Slot {
    uint64_t key;  // left << 32 | right
    Merge merge;
  };
  static uint64_t Key(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }
  size_t SlotOf(uint64_t key) const;
  void MergeShort(std::vector<int32_t>* ids, size_t begin) const;
  void MergeLong(std::vector<int32_t>* ids, size_t begin) const;

  std::vector<Slot> slots_;  // open addressing; a power of two, at most half full
};

}  // namespace hullft::tokenizer
