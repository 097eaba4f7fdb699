#include "coordinator/run_stats.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace hullft::coordinator {
namespace {
using ::testing::HasSubstr;
using ::testing::Not;

RunStats Sample() {
  RunStats stats;
  stats.finished = 99;
  stats.failed = 1;
  stats.seconds = 50;
  stats.coordinator_cpu_seconds = 0.4;
  stats.retried = 3;
  stats.expired = 2;
  stats.late = 1;
  stats.workers = {{1, "n1", 0.95, 60}, {2, "n2", 0.85, 39}};
  stats.ranks = {{0, 10, 20, 4'000'000, 100}, {1, 5, 6, 1'000'000, 200}, {2, 5, 6, 5'000'000, 300}};
  stats.world = 3;
  return stats;
}

TEST(RunStats, Text) {
  EXPECT_EQ(StatsText(Sample()),
            "this run       100 queries in 50.0 s, 2 a second\n"
            "2 workers      90.0% busy, from 85.0% (rank 2 on n2) to 95.0% (rank 1 on n1)\n"
            "coordinator    0.8% of a core\n"
            "tasks          3 retried, 2 past their deadline, 1 late results dropped\n"
            "between ranks  100.0 KB a query; 10.0 MB in 20 messages\n");
}

TEST(RunStats, ARankThatDidNotReportIsMissedAndOneProcessSendsNothing) {
  RunStats stats = Sample();
  stats.ranks.pop_back();
  EXPECT_THAT(StatsText(stats),
              HasSubstr("50.0 KB a query; 5.0 MB in 15 messages, without 1 ranks that did not report"));
  stats.world = 1;
  EXPECT_THAT(StatsText(stats), Not(HasSubstr("between ranks")));
}

TEST(RunStats, NothingDone) {
  EXPECT_THAT(StatsText(RunStats{}), HasSubstr("0 queries in 0.0 s, 0 a second"));
  EXPECT_EQ(RunStats{}.BytesPerQuery(), 0);
}

TEST(RunStats, Json) {
  const auto json = nlohmann::json::parse(StatsJson(Sample()));
  EXPECT_EQ(json["late_dropped"], 1);
  EXPECT_EQ(json["bytes_per_query"], 100'000);
  EXPECT_EQ(json["workers"][1]["finished"], 39);
  EXPECT_EQ(json["ranks"][2]["bytes_sent"], 5'000'000);
}

}  // namespace
}  // namespace hullft::coordinator
