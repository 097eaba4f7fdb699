#include "coordinator/run_status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/caught.h"

namespace hullft::coordinator {
namespace {
using ::testing::HasSubstr;

RunStatus Sample() {
  RunStatus status;
  status.host = "n\"1";
  status.updated = 1.7e9 + 0.25;
  status.view.total = 40;
  status.view.done = 12;
  status.view.done_before = 4;
  status.view.failed = 1;
  status.view.seconds = 16;
  status.view.ready = 3;
  status.view.in_flight = 4;
  status.view.workers = {{1, 0.5, 2, false, StageEvent{7, Stage::kTuning, 3, 20}}, {2, 1, 2, true, std::nullopt}};
  return status;
}

TEST(RunStatus, ReadsBack) {
  const RunStatus back = ParseStatus(StatusJson(Sample()), "status.json");
  EXPECT_EQ(StatusJson(back), StatusJson(Sample()));
  EXPECT_EQ(back.view.workers.at(0).event->step, 3);
  EXPECT_EQ(Screen(back.view, 80), Screen(Sample().view, 80));
}

TEST(RunStatus, DamageNamesTheFileAndTheField) {
  ExpectFault(Code::kData, "a/status.json", [] { ParseStatus("{\"state\": ", "a/status.json"); });
  ExpectFault(Code::kData, "host", [] { ParseStatus("{\"state\": \"running\"}", "a/status.json"); });
}

TEST(RunStatus, PrometheusText) {
  const std::string text = PrometheusText(Sample(), "a\"b\n");
  EXPECT_THAT(text, HasSubstr("# TYPE hullft_queries_done gauge\nhullft_queries_done{run=\"a\\\"b\\n\"} 12\n"));
  EXPECT_THAT(text, HasSubstr("hullft_worker_busy_ratio{run=\"a\\\"b\\n\",rank=\"1\"} 0.5\n"));
  EXPECT_THAT(text, HasSubstr("hullft_queries_per_second{run=\"a\\\"b\\n\"} 0.5\n"));
  EXPECT_EQ(text.back(), '\n');
}

// Found by reading: a bar of -3 of 10 queries ended in std::length_error, 2^62 of them in signed overflow.
TEST(RunStatus, CountsAndTimesThatCannotBeAreRefused) {
  const std::string good = StatusJson(Sample());
  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    return text;
  };
  for (const auto& [from, to, field] :
       {std::tuple("\"done\": 12", "\"done\": -3", "done"), std::tuple("\"done\": 12", "\"done\": 12.5", "done"),
        std::tuple("\"total\": 40", "\"total\": 4611686018427387904", "total"),
        std::tuple("\"seconds\": 16.0", "\"seconds\": 1e300", "seconds"),
        std::tuple("\"updated\": 1700000000.25", "\"updated\": 1e300", "updated"),
        std::tuple("\"busy\": 0.5", "\"busy\": -1", "busy"), std::tuple("\"step\": 3", "\"step\": -1", "step")})
    ExpectFault(Code::kData, field, [&] { ParseStatus(changed(from, to), "a/status.json"); });
  ExpectFault(Code::kData, "nested", [] { ParseStatus(std::string(100000, '['), "a/status.json"); });
}

}  // namespace
}  // namespace hullft::coordinator
