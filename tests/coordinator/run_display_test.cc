#include "coordinator/run_display.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace hullft::coordinator {
namespace {
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

RunView Sample(int workers) {
  RunView view;
  view.total = 1000;
  view.done = 120;
  view.done_before = 20;
  view.seconds = 50;
  view.in_rounds = 12;
  view.ready = 8;
  view.in_flight = 16;
  for (int w = 0; w < workers; ++w) view.workers.push_back({w + 1, 0.9 + 0.01 * (w % 10), 2, false, std::nullopt});
  return view;
}

TEST(RunDisplay, ALogLineSaysItAll) {
  RunView view = Sample(4);
  EXPECT_EQ(LogLine(view),
            "120/1000 queries (12%), 2.00/s, 7 min 20 s left, 12 in rounds, 8 ready, 16 in flight, workers 92% busy "
            "(rank 1 90% to rank 4 93%)");
  view.late = 3;
  view.failed = 2;
  view.workers[2].silent = true;
  EXPECT_THAT(LogLine(view), HasSubstr("2 failed"));
  EXPECT_THAT(LogLine(view), HasSubstr("3 late"));
  EXPECT_THAT(LogLine(view), HasSubstr("1 past their deadline"));
}

// What earlier runs finished says nothing about how fast this one is.
TEST(RunDisplay, TheRateIsThisRuns) {
  RunView view = Sample(1);
  EXPECT_DOUBLE_EQ(Rate(view), 2);
  EXPECT_DOUBLE_EQ(RemainingSeconds(view).value(), 440);
  view.done = view.done_before;
  EXPECT_DOUBLE_EQ(Rate(view), 0);
  EXPECT_FALSE(RemainingSeconds(view));
  EXPECT_THAT(LogLine(view), Not(HasSubstr("left")));
  view.seconds = 0;
  EXPECT_DOUBLE_EQ(Rate(view), 0);
}

TEST(RunDisplay, AFewWorkersHaveALineEach) {
  RunView view = Sample(4);
  view.workers[0].event = StageEvent{7, Stage::kTuning, 12, 20};
  view.workers[1].event = StageEvent{8, Stage::kScoringAfter, 0, 0};
  view.workers[2].silent = true;
  view.workers[3].in_flight = 0;
  EXPECT_THAT(
      Screen(view, 100),
      ElementsAre("[##......................] 120/1000 queries (12%), 2.00/s, 7 min 20 s left",
                  HasSubstr("12 in rounds, 8 ready, 16 in flight, workers 92% busy"), "  rank 1     90%  step 12 of 20",
                  "  rank 2     91%  scoring after", "  rank 3     92%  past its deadline", "  rank 4     93%  idle"));
}

TEST(RunDisplay, ManyWorkersHaveADigitEach) {
  RunView view = Sample(200);
  view.workers[0].busy = 0;
  view.workers[1].busy = 1;
  view.workers[2].busy = 0.55;
  view.workers[3].silent = true;
  const std::vector<std::string> lines = Screen(view, 80);
  ASSERT_THAT(lines, SizeIs(2 + 3));
  EXPECT_TRUE(lines[2].starts_with("  busy 095x9999")) << lines[2];
  EXPECT_THAT(lines, Each(SizeIs(::testing::Le(80))));
  EXPECT_EQ(std::ranges::count(lines[2] + lines[3] + lines[4], '9'), 197);
}

TEST(RunDisplay, ANarrowTerminalGetsNarrowLines) {
  for (const int width : {0, 20, 33, 79})
    EXPECT_THAT(Screen(Sample(30), width), Each(SizeIs(::testing::Le(std::max(width, 20)))));
}

TEST(RunDisplay, ARunOfNothingHasAView) {
  EXPECT_EQ(LogLine(RunView{}), "0/0 queries, 0.00/s, 0 in rounds, 0 ready, 0 in flight, no workers");
  EXPECT_THAT(Screen(RunView{}, 80), SizeIs(2));
}

TEST(RunDisplay, TheLogOfALongRunStaysShort) {
  EXPECT_DOUBLE_EQ(LogInterval(0), 10);
  EXPECT_DOUBLE_EQ(LogInterval(5000), 100);
  int lines = 0;
  for (double at = 0; at < 7 * 86400; at += LogInterval(at)) ++lines;
  EXPECT_LT(lines, 1500);
}

}  // namespace
}  // namespace hullft::coordinator
