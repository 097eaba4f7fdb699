// Remembers the ids of short words: text is mostly words seen before. Internal to common/tokenizer.
// Thread safety: one thread's.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "common/hash.h"

namespace hullft::tokenizer {

// A table of one cache line a slot, where a new word replaces the old one of its slot: bounded, and no list to keep.
class WordCache {
 public:
  WordCache() : slots_(kSlots) {}

  // The slot where a word is or would be; null for one that is too long to be kept.
  struct Slot {
    uint8_t size = 0, count = 0;
    std::array<char, 34> word;
    std::array<int32_t, 7> ids;
  };
  static bool MayHold(std::string_view word) { return word.size() <= sizeof(Slot::word); }
  Slot* SlotOf(std::string_view word) {
    if (!MayHold(word)) return nullptr;
    return &slots_[Hash64(word) & (kSlots - 1)];
  }
  static bool Holds(const Slot& slot, std::string_view word) {
    return slot.size == word.size() && std::memcmp(slot.word.data(), word.data(), word.size()) == 0;
  }
  static void Fill(Slot* slot, std::string_view word, const int32_t* ids, size_t count) {
    if (count > slot->ids.size()) return;
    slot->size = static_cast<uint8_t>(word.size());
    slot->count = static_cast<uint8_t>(count);
    std::copy(word.begin(), word.end(), slot->word.begin());
    std::copy(ids, ids + count, slot->ids.begin());
  }

 private:
  static constexpr size_t kSlots = size_t{1} << 15;  // 2 MiB: stays in the second-level cache's neighbourhood
  std::vector<Slot> slots_;
};
static_assert(sizeof(WordCache::Slot) == 64);

}  // namespace hullft::tokenizer
