#include "coordinator/layout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <random>

#include "common/error.h"
#include "tests/caught.h"

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
}

TEST(Layout, TableHasALineForEachRank) {
  const std::vector<std::string> hosts = {"node-a", "node-a", "b"};
  const Layout layout = MakeLayout(hosts, std::vector<int64_t>{5, 5, 5, 5});
  const std::vector<RankFacts> facts = {{10, "", "0-3", ""}, {11, "cpu", "0-3,8", ""}, {1234, "cpu", "1", ""}};
  EXPECT_EQ(LayoutTable(layout, hosts, facts),
            "rank  host    pid   roles              device  cores  partitions\n"
            "0     node-a  10    coordinator+shard  -       0-3    0,2\n"
            "1     node-a  11    worker             cpu     0-3,8  -\n"
            "2     b       1234  shard+worker       cpu     1      1,3\n");
}

// Two ranks that both see their GPU as number 0 have the same one only where its bus address is the same, too.
TEST(Layout, TableWarnsOfSharedGpus) {
  const std::vector<std::string> hosts = {"a", "a", "a", "b", "b", "b"};
  const Layout layout = MakeLayout(hosts, std::vector<int64_t>{5, 5});
  const auto warnings = [&](const std::vector<std::string>& gpus) {
    std::vector<RankFacts> facts;
    for (const std::string& gpu : gpus) facts.push_back({1, gpu.empty() ? "" : "cuda:0", "0", gpu});
    const std::string table = LayoutTable(layout, hosts, facts);
    const size_t at = table.find("warning");
    return at == std::string::npos ? "" : table.substr(at);
  };
  EXPECT_EQ(warnings({"", "01:00", "02:00", "", "01:00", "02:00"}), "");
  EXPECT_EQ(warnings({"", "01:00", "01:00", "", "01:00", "02:00"}),
            "warning: ranks 1-2 share GPU 01:00 of a, its speed and its memory\n");
  EXPECT_EQ(warnings({"", "01:00", "01:00", "02:00", "01:00", "02:00"}),
            "warning: ranks 1-2 share GPU 01:00 of a, its speed and its memory\n"
            "warning: ranks 3,5 share GPU 02:00 of b, its speed and its memory\n");
}

TEST(Layout, RangesOfNumbers) {
  EXPECT_EQ(RangesText({}), "");
  EXPECT_EQ(RangesText(std::vector<int>{4}), "4");
  EXPECT_EQ(RangesText(std::vector<int>{0, 1, 2, 5, 7, 8}), "0-2,5,7-8");
}

TEST(Layout, OverrideNamesTheRoles) {
  const std::vector<std::string> hosts(8, "a");
  const Layout layout =
      MakeLayout(hosts, std::vector<int64_t>{1, 1, 1}, {}, "coordinator=0 shards=0,4 workers=1-3,5-7");
  EXPECT_THAT(layout.shards, ElementsAre(0, 4));
  EXPECT_THAT(layout.workers, ElementsAre(1, 2, 3, 5, 6, 7));
  EXPECT_TRUE(layout.ranks[0].coordinator);
  EXPECT_FALSE(layout.ranks[0].worker);
  EXPECT_EQ(layout.ranks[4].shard_index, 1);
  EXPECT_FALSE(layout.ranks[4].coordinator);
  // The shards need not include the coordinator, a rank may be both, and order does not matter.
  const Layout other =
      MakeLayout(std::vector<std::string>(3, "a"), std::vector<int64_t>{1, 1}, {}, " workers=2,1  shards=1 ");
  EXPECT_THAT(other.shards, ElementsAre(1));
  EXPECT_THAT(other.workers, ElementsAre(1, 2));
  EXPECT_FALSE(other.ranks[0].shard);
  EXPECT_TRUE(other.ranks[1].shard && other.ranks[1].worker);
}

TEST(Layout, BadOverridesAreUsageErrors) {
  const std::pair<const char*, const char*> cases[] = {
      {"shards=0 workers=1-4", "names rank 4, but there are 4 ranks"},
      {"shards=0 workers=1-2", "gives rank 3 nothing to do"},
      {"shards=0", "names no worker"},
      {"workers=0-3", "names no shard"},
      {"shards= workers=0-3", "'' in 'shards=' is no rank"},
      {"shards=0 workers=1,2,2,3", "rank 2 twice"},
      {"shards=0 shards=1 workers=1-3", "'shards' twice"},
      {"coordinator=1 shards=0 workers=1-3", "the coordinator is rank 0"},
      {"shards=0 workers=3-1", "runs backwards"},
      {"shards=0 workers=1,,3", "'' in 'workers=1,,3' is no rank"},
      {"shards=0 workers=1-x", "'x' in 'workers=1-x' is no rank"},
      {"shards=-1 workers=1-3", "'' in 'shards=-1' is no rank"},
      {"shard=0 workers=1-3", "'shard=0' is no role"},
      {"shards workers=1-3", "'shards' is no role"},
      {"shards=0 workers=99999999999", "'99999999999' in"},
  };
  for (const auto& [text, message] : cases) {
    SCOPED_TRACE(text);
    ExpectFault(Code::kUsage, message, [&] { ParseLayoutSpec(text, 4); });
  }
}

TEST(Layout, MoreShardsThanPartitionsIsAUsageError) {
  const Error error = Caught([] { MakeLayout(std::vector<std::string>{"a", "b", "c"}, std::vector<int64_t>{1, 1}); });
  EXPECT_EQ(error.code(), Code::kUsage);
  EXPECT_THAT(error.hint(), HasSubstr("--partitions 3"));
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
