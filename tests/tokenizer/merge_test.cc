// Merging against a slow oracle that looks at every pair again after every merge.
#include <gtest/gtest.h>

#include <optional>
#include <random>

#include "common/tokenizer/merge_table.h"

namespace hullft::tokenizer {
namespace {

void MergeSlowly(const MergeTable& table, std::vector<int32_t>* ids) {
  while (true) {
    std::optional<std::pair<MergeTable::Merge, size_t>> best;
    for (size_t i = 0; i + 1 < ids->size(); ++i) {
      const MergeTable::Merge* merge = table.Find((*ids)[i], (*ids)[i + 1]);
      if (merge != nullptr && (!best || merge->rank < best->first.rank)) best = {*merge, i};
    }
    if (!best) return;
    (*ids)[best->second] = best->first.joined;
    ids->erase(ids->begin() + static_cast<ptrdiff_t>(best->second) + 1);
  }
}

TEST(MergeTest, BothWaysEqualTheOracle) {
  std::mt19937 random(7);
  const auto below = [&](int32_t n) { return std::uniform_int_distribution<int32_t>(0, n - 1)(random); };
  for (int round = 0; round < 300; ++round) {
    // As a training makes them: each merge joins two tokens that exist, into a new one.
    const int32_t letters = 2 + below(4), merges = below(60);
    MergeTable table(static_cast<size_t>(merges));
    for (int32_t rank = 0; rank < merges; ++rank) {
      const int32_t left = below(letters + rank), right = below(letters + rank);
      if (table.Find(left, right) == nullptr) table.Add(left, right, rank, letters + rank);
    }
    for (const size_t size : {1, 2, 5, 31, 32, 33, 34, 200}) {
      std::vector<int32_t> ids{-7};  // what stands before `begin` stays
      for (size_t i = 0; i < size; ++i) ids.push_back(below(letters));
      std::vector<int32_t> expected(ids.begin() + 1, ids.end());
      MergeSlowly(table, &expected);
      table.MergeAll(&ids, 1);
      ASSERT_EQ(ids.front(), -7);
      ASSERT_EQ(std::vector<int32_t>(ids.begin() + 1, ids.end()), expected)
          << "round " << round << ", " << size << " ids";
    }
  }
}

}  // namespace
}  // namespace hullft::tokenizer
