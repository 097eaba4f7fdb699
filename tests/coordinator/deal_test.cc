#include "coordinator/deal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

namespace hullft::coordinator {
namespace {
using Deal = std::vector<std::vector<int>>;
using ::testing::Each;
using ::testing::ElementsAre;

std::vector<int64_t> Loads(const Deal& deal, const std::vector<int64_t>& sizes) {
  std::vector<int64_t> loads;
  for (const auto& partitions : deal) {
    loads.push_back(0);
    for (const int p : partitions) loads.back() += sizes[static_cast<size_t>(p)];
  }
  return loads;
}

void ExpectGood(const Deal& deal, const std::vector<int64_t>& sizes) {
  std::vector<int> seen(sizes.size(), 0);
  for (const auto& partitions : deal) {
    EXPECT_FALSE(partitions.empty());
    EXPECT_TRUE(std::ranges::is_sorted(partitions));
    for (const int p : partitions) ++seen[static_cast<size_t>(p)];
  }
  EXPECT_THAT(seen, Each(1));
  const auto loads = Loads(deal, sizes);
  EXPECT_LE(std::ranges::max(loads) - std::ranges::min(loads), std::ranges::max(sizes));
}

int Kept(const Deal& deal, const Deal& held) {
  int kept = 0;
  for (size_t s = 0; s < deal.size(); ++s) {
    for (const int p : deal[s]) kept += std::ranges::count(held[s], p) > 0 ? 1 : 0;
  }
  return kept;
}

TEST(DealPartitionsTest, BalancedWithinTheLargestPartitionWhateverIsHeld) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 500; ++round) {
    std::vector<int64_t> sizes(1 + random() % 30);
    const uint64_t range = round % 3 == 0 ? 2 : 1000;
    for (int64_t& size : sizes) size = static_cast<int64_t>(random() % range);
    const int shards = 1 + static_cast<int>(random() % sizes.size());
    Deal held(static_cast<size_t>(shards));
    for (auto& of_shard : held) {
      for (int p = 0; p < static_cast<int>(sizes.size()); ++p) {
        if (random() % 4 < static_cast<uint64_t>(round % 5)) of_shard.push_back(p);
      }
    }
    const Deal deal = DealPartitions(sizes, shards, held);
    ExpectGood(deal, sizes);
    EXPECT_EQ(deal, DealPartitions(sizes, shards, held));
    EXPECT_EQ(DealPartitions(sizes, shards), DealPartitions(sizes, shards, Deal(static_cast<size_t>(shards))));
  }
}

TEST(DealPartitionsTest, CopiesOfADealGiveThatDealAgain) {
  std::mt19937_64 random(4);
  for (int round = 0; round < 300; ++round) {
    std::vector<int64_t> sizes(16 + random() % 50);
    for (int64_t& size : sizes) size = static_cast<int64_t>(900 + random() % 200);
    const int shards = 1 + static_cast<int>(random() % 8);
    const Deal deal = DealPartitions(sizes, shards);
    EXPECT_EQ(DealPartitions(sizes, shards, deal), deal);
  }
}

TEST(DealPartitionsTest, WhenAHostLeavesTheOthersKeepTheirs) {
  const std::vector<int64_t> sizes(64, 100);
  Deal held = DealPartitions(sizes, 4);
  held.pop_back();
  const Deal deal = DealPartitions(sizes, 3, held);
  ExpectGood(deal, sizes);
  EXPECT_EQ(Kept(deal, held), 48);
  EXPECT_LT(Kept(DealPartitions(sizes, 3), held), 24) << "without copies in mind";
}

TEST(DealPartitionsTest, WhenAHostComesTheOthersGiveItItsShareOnly) {
  const std::vector<int64_t> sizes(60, 100);
  Deal held = DealPartitions(sizes, 3);
  held.emplace_back();
  const Deal deal = DealPartitions(sizes, 4, held);
  ExpectGood(deal, sizes);
  EXPECT_EQ(Kept(deal, held), 45);
}

TEST(DealPartitionsTest, OneHostThatHoldsAllGetsItsShareOnly) {
  const std::vector<int64_t> sizes = {10, 1, 1};
  EXPECT_THAT(DealPartitions(sizes, 3, Deal{{1, 2}, {}, {}}), Each(::testing::SizeIs(1)));
  EXPECT_THAT(DealPartitions(std::vector<int64_t>{5, 5, 5, 5}, 2, Deal{{}, {0, 1, 2, 3}}),
              ElementsAre(ElementsAre(2, 3), ElementsAre(0, 1)));
}

}  // namespace
}  // namespace hullft::coordinator
