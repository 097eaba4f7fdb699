#include "coordinator/layout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <random>

#include "common/error.h"

namespace hullft::coordinator {
namespace {
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Layout, OneRankHoldsAllRoles) {
  const Layout layout = MakeLayout(std::vector<std::string>{"a"}, std::vector<int64_t>{10});
  EXPECT_TRUE(layout.ranks[0].coordinator && layout.ranks[0].shard && layout.ranks[0].worker);
  EXPECT_THAT(layout.shards, ElementsAre(0));
  EXPECT_THAT(layout.workers, ElementsAre(0));
}

TEST(Layout, FirstRankOfAHostIsItsShardAndTheOthersWork) {
  const std::vector<std::string> hosts = {"a", "a", "b", "c", "b", "a"};
  const Layout layout = MakeLayout(hosts, std::vector<int64_t>{5, 5, 5, 5});
  EXPECT_THAT(layout.shards, ElementsAre(0, 2, 3));
  EXPECT_THAT(layout.workers, ElementsAre(1, 3, 4, 5));  // c has one rank, which is both
  EXPECT_EQ(layout.ranks[3].shard_index, 2);
  EXPECT_EQ(LayoutTable(layout, hosts).substr(0, 47), "rank 0 on a: coordinator, shard (partitions 0 3");
}

TEST(Layout, MoreShardsThanPartitionsIsAUsageError) {
  try {
    MakeLayout(std::vector<std::string>{"a", "b", "c"}, std::vector<int64_t>{1, 1});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kUsage);
    EXPECT_THAT(error.hint(), HasSubstr("--partitions 3"));
  }
}

TEST(DealPartitions, EveryPartitionOnceAndBalanced) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<int64_t> sizes(1 + random() % 40);
    for (int64_t& size : sizes) size = static_cast<int64_t>(random() % 1000);
    const int shards = 1 + static_cast<int>(random() % sizes.size());
    const auto dealt = DealPartitions(sizes, shards);
    std::vector<int> seen(sizes.size(), 0);
    std::vector<int64_t> load;
    for (const auto& partitions : dealt) {
      EXPECT_FALSE(partitions.empty());
      EXPECT_TRUE(std::is_sorted(partitions.begin(), partitions.end()));
      load.push_back(0);
      for (const int p : partitions) ++seen[static_cast<size_t>(p)], load.back() += sizes[static_cast<size_t>(p)];
    }
    EXPECT_THAT(seen, ::testing::Each(1));
    // Graham's bound for dealing the largest first: the fullest exceeds the mean by at most the largest item.
    const int64_t total = std::accumulate(sizes.begin(), sizes.end(), int64_t{0});
    EXPECT_LE(*std::max_element(load.begin(), load.end()),
              total / shards + 1 + *std::max_element(sizes.begin(), sizes.end()));
    EXPECT_EQ(dealt, DealPartitions(sizes, shards));
  }
}

}  // namespace
}  // namespace hullft::coordinator
