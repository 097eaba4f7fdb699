#include "coordinator/select/pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "common/error.h"
#include "tests/caught.h"
#include "tests/select/oracle.h"
#include "tests/select/random_pool.h"

namespace hullft::select {
namespace {
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(RescorePool, OrdersByScoreThenId) {
  const std::vector<float> rows{1, 0, 0, 1, 1, 0, 2, 0}, target{1, 0};
  const std::vector<uint64_t> ids{9, 3, 4, 7};
  const PoolOrder pool = RescorePool(ids, rows, target, 3);
  EXPECT_THAT(pool.ids, ElementsAre(7, 4, 9));
  EXPECT_THAT(pool.rows, ElementsAre(3, 2, 0));
  EXPECT_THAT(pool.scores, ElementsAre(2, 1, 1));
  EXPECT_EQ(RescorePool(ids, rows, target, 99).ids.size(), 4u) << "fewer than K is no fault";
  EXPECT_TRUE(RescorePool({}, {}, target, 5).ids.empty());
}

// However the candidates are dealt over shards, and whatever margin each shard adds, the pool is the same.
TEST(RescorePool, DoesNotDependOnTheShards) {
  const RandomPool random(11, 120, 33, true);
  std::vector<uint64_t> ids(random.k);
  for (int i = 0; i < random.k; ++i) ids[i] = (uint64_t{static_cast<uint64_t>(i % 3)} << 40) + (i * 37) % 127;
  const PoolOrder want = RescorePool(ids, random.rows, random.target, 20);
  for (const int shards : {1, 2, 5}) {
    std::vector<uint64_t> merged;
    std::vector<float> rows;
    for (int shard = shards - 1; shard >= 0; --shard) {
      std::vector<uint64_t> local;
      std::vector<float> local_rows;
      for (int i = shard; i < random.k; i += shards) {
        local.push_back(ids[i]);
        local_rows.insert(local_rows.end(), &random.rows[i * random.d], &random.rows[i * random.d] + random.d);
      }
      const PoolOrder best = RescorePool(local, local_rows, random.target, 20 + 4);
      for (const int i : best.rows) {
        merged.push_back(local[i]);
        rows.insert(rows.end(), &local_rows[i * random.d], &local_rows[i * random.d] + random.d);
      }
    }
    const PoolOrder got = RescorePool(merged, rows, random.target, 20);
    EXPECT_EQ(got.ids, want.ids);
    EXPECT_EQ(got.scores, want.scores) << "bits";
  }
}

TEST(RescorePool, AnIdGivenTwiceCountsOnce) {
  const std::vector<float> target{1};
  EXPECT_THAT(RescorePool(std::vector<uint64_t>{5, 2, 5}, std::vector<float>{1, 3, 1}, target, 3).ids,
              ElementsAre(2, 5));
  ExpectFault(Code::kData, "sequence 5", [&] {
    RescorePool(std::vector<uint64_t>{5, 2, 5}, std::vector<float>{1, 3, 2}, target, 3);
  });
}

TEST(RescorePool, RefusesWhatIsNotFinite) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const auto fault = [](std::vector<float> rows, std::vector<float> target) -> std::string {
    const Error error = Caught([&] { RescorePool(std::vector<uint64_t>{8, 6}, rows, target, 2); });
    EXPECT_EQ(error.code(), Code::kData);
    return error.message();
  };
  EXPECT_THAT(fault({1, 1, nan, 1}, {0, 1}), HasSubstr("sequence 6"));
  EXPECT_THAT(fault({1, 1, INFINITY, 1}, {0, 1}), HasSubstr("sequence 6")) << "0 times infinity";
  EXPECT_THAT(fault({1, 1, 1, 1}, {0, nan}), HasSubstr("position 1"));
  EXPECT_THAT(fault({1, 1, 1}, {0, 1}), HasSubstr("need 4 values"));
}

}  // namespace
}  // namespace hullft::select
