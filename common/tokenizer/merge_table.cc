#include "common/tokenizer/merge_table.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <queue>

namespace hullft::tokenizer {
namespace {

constexpr uint64_t kEmpty = ~uint64_t{0};  // ids are not negative, so no pair has this key
constexpr int32_t kNoRank = std::numeric_limits<int32_t>::max();
// Below this length looking at all pairs again is cheaper than a queue. Measured: 2026-11, 2 cores, SmolLM2 on the demo
// corpus.
constexpr size_t kShort = 32;

struct Symbol {
  int32_t id;
  int32_t previous, next;  // indices; -1 at the ends
  bool alive;
};

// A pair that may merge: the symbol at `at` with its right neighbour.
struct Candidate {
  int32_t rank, at, joined;
  bool operator>(const Candidate& other) const { return rank != other.rank ? rank > other.rank : at > other.at; }
};

}  // namespace

MergeTable::MergeTable(size_t merges) : slots_(std::bit_ceil(2 * merges + 2), Slot{kEmpty, {0, 0}}) {}

size_t MergeTable::SlotOf(uint64_t key) const {
  const size_t mask = slots_.size() - 1;
  // Fibonacci hashing: the high bits of the product mix both ids.
  size_t slot = static_cast<size_t>((key ^ key >> 32) * 0x9E3779B97F4A7C15u >> 20) & mask;
  while (slots_[slot].key != key && slots_[slot].key != kEmpty) slot = (slot + 1) & mask;
  return slot;
}

void MergeTable::Add(int32_t left, int32_t right, int32_t rank, int32_t joined) {
  const uint64_t key = Key(left, right);
  slots_[SlotOf(key)] = {key, {rank, joined}};
}

const MergeTable::Merge* MergeTable::Find(int32_t left, int32_t right) const {
  const Slot& slot = slots_[SlotOf(Key(left, right))];
  return slot.key == kEmpty ? nullptr : &slot.merge;
}

void MergeTable::MergeAll(std::vector<int32_t>* ids, size_t begin) const {
  const size_t count = ids->size() - begin;
  if (count < 2) return;
  if (count <= kShort) {
    MergeShort(ids, begin);
  } else {
    MergeLong(ids, begin);
  }
}

void MergeTable::MergeShort(std::vector<int32_t>* ids, size_t begin) const {
  int32_t* const id = ids->data() + begin;
  size_t count = ids->size() - begin;
  std::array<Merge, kShort> pairs;  // pairs[i]: what (id[i], id[i + 1]) becomes
  const auto look_up = [&](size_t i) {
    const Merge* merge = Find(id[i], id[i + 1]);
    pairs[i] = merge != nullptr ? *merge : Merge{kNoRank, -1};
  };
  for (size_t i = 0; i + 1 < count; ++i) look_up(i);
  while (count > 1) {
    const auto best = std::min_element(pairs.begin(), pairs.begin() + static_cast<ptrdiff_t>(count - 1),
                                       [](const Merge& a, const Merge& b) { return a.rank < b.rank; });
    if (best->rank == kNoRank) break;
    const size_t at = static_cast<size_t>(best - pairs.begin());
    id[at] = best->joined;
    std::copy(id + at + 2, id + count, id + at + 1);
    if (at + 2 < count) std::copy(pairs.begin() + at + 2, pairs.begin() + count - 1, pairs.begin() + at + 1);
    --count;
    if (at > 0) look_up(at - 1);
    if (at + 1 < count) look_up(at);
  }
  ids->resize(begin + count);
}

void MergeTable::MergeLong(std::vector<int32_t>* ids, size_t begin) const {
  const auto count = static_cast<int32_t>(ids->size() - begin);
  std::vector<Symbol> symbols;
  symbols.reserve(static_cast<size_t>(count));
  for (int32_t i = 0; i < count; ++i)
    symbols.push_back({(*ids)[begin + static_cast<size_t>(i)], i - 1, i + 1 < count ? i + 1 : -1, true});

  std::vector<Candidate> candidates;
  const auto candidate_at = [&](int32_t at) -> Candidate {
    const Symbol& left = symbols[static_cast<size_t>(at)];
    if (left.next < 0) return {kNoRank, at, -1};
    const Merge* merge = Find(left.id, symbols[static_cast<size_t>(left.next)].id);
    return merge != nullptr ? Candidate{merge->rank, at, merge->joined} : Candidate{kNoRank, at, -1};
  };
  for (int32_t at = 0; at < count; ++at)
    if (const Candidate candidate = candidate_at(at); candidate.rank != kNoRank) candidates.push_back(candidate);
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue(std::greater<>(), std::move(candidates));

  while (!queue.empty()) {
    const Candidate top = queue.top();
    queue.pop();
    Symbol& left = symbols[static_cast<size_t>(top.at)];
    // Stale: the symbol was joined to its left neighbour, or one of the two has grown since.
    if (!left.alive || left.next < 0 || candidate_at(top.at).joined != top.joined) continue;
    Symbol& right = symbols[static_cast<size_t>(left.next)];
    left.id = top.joined;
    left.next = right.next;
    right.alive = false;
    if (left.next >= 0) symbols[static_cast<size_t>(left.next)].previous = top.at;
    for (const int32_t at : {left.previous, top.at}) {
      if (at < 0) continue;
      if (const Candidate candidate = candidate_at(at); candidate.rank != kNoRank) queue.push(candidate);
    }
  }
  size_t out = begin;
  for (const Symbol& symbol : symbols)
    if (symbol.alive) (*ids)[out++] = symbol.id;
  ids->resize(out);
}

}  // namespace hullft::tokenizer
