// What hullft bench cluster says of rounds; the bytes are counted, so they hold on any machine.
#include "coordinator/bench/round_cost.h"

#include <gtest/gtest.h>

#include "coordinator/bench/measure.h"

namespace hullft::coordinator {
namespace {

TEST(RoundCost, ARoundSendsWhatTheDesignSays) {
  for (const int shards : {2, 4}) {
    const ScratchFolder scratch(::testing::TempDir());
    BenchWorld world;
    Figures figures("cluster", {});
    MeasureRounds(world, scratch.path(),
                  {.shards = shards, .rows = 400, .dim = 96, .queries = 8, .global_queries = 2, .repetitions = 1},
                  &figures);
    const auto of_design = figures.Value("round.bytes_of_design");
    ASSERT_TRUE(of_design);
    EXPECT_GE(*of_design, 0.9) << shards << " shards";
    EXPECT_LE(*of_design, 1.1) << shards << " shards";
    EXPECT_GT(figures.Value("round.shards_ratio").value_or(0), 0);
    EXPECT_GT(figures.Value("global_round.bytes_per_query").value_or(0), 0);
  }
}

TEST(RoundCost, WhatTheOwnerHoldsStaysThere) {
  EXPECT_EQ(DesignBytesPerQuery(1, 232, 384, 2000), 0);
  EXPECT_DOUBLE_EQ(DesignBytesPerQuery(4, 232, 384, 2000), 0.75 * (4 * 232 * 16 + 232 * 4 * 384 + 4 * 2000));
}

}  // namespace
}  // namespace hullft::coordinator
