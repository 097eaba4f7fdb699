// Scoring windows: properties for all small sizes, and cases worked out with lm_eval's own functions.
#include "worker/finetune/windows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

namespace hullft::worker {
namespace {
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Tokens = std::vector<int32_t>;

Tokens Document(int size) {
  Tokens tokens(static_cast<size_t>(size));
  std::iota(tokens.begin(), tokens.end(), 0);
  return tokens;
}

// lm_eval.utils.get_rolling_token_windows(list(range(10)), 100, max_seq_len, 1) and make_disjoint_window: the example
// in that project's own tests.
TEST(RollingWindows, AreThoseOfLmEval) {
  const std::vector<Window> w = RollingWindows(Document(10), -100, 4);
  ASSERT_EQ(w.size(), 3U);
  EXPECT_THAT(w[0].inputs, ElementsAre(-100, 0, 1, 2));
  EXPECT_THAT(w[0].targets, ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(w[1].inputs, ElementsAre(3, 4, 5, 6));
  EXPECT_THAT(w[1].targets, ElementsAre(4, 5, 6, 7));
  EXPECT_THAT(w[2].inputs, ElementsAre(5, 6, 7, 8));  // moved back: as much context as fits
  EXPECT_THAT(w[2].targets, ElementsAre(8, 9));
}

TEST(RollingWindows, ScoreEveryTokenOnceFromItsRealContext) {
  for (int size = 0; size <= 40; ++size) {
    for (int length = 1; length <= 12; ++length) {
      int expected = 0;
      const std::vector<Window> windows = RollingWindows(Document(size), -1, length);
      for (const Window& w : windows) {
        ASSERT_LE(w.inputs.size(), static_cast<size_t>(length));
        ASSERT_FALSE(w.targets.empty());
        const size_t context = w.inputs.size() - w.targets.size();
        for (size_t i = 0; i < w.targets.size(); ++i) {
          ASSERT_EQ(w.targets[i], expected++);
          ASSERT_EQ(w.inputs[context + i], w.targets[i] - 1);  // the prefix is -1: the token before token 0
        }
        if (&w != windows.data()) {
          ASSERT_EQ(w.inputs.size(), static_cast<size_t>(length));
        }
      }
      ASSERT_EQ(expected, size);
    }
  }
}

TEST(FirstWindow, LeavesOutTheFirstTokenAndWhatDoesNotFit) {
  const Window w = FirstWindow(Document(10), 4);
  EXPECT_THAT(w.inputs, ElementsAre(0, 1, 2));
  EXPECT_THAT(w.targets, ElementsAre(1, 2, 3));
  EXPECT_THAT(FirstWindow(Document(3), 4).targets, ElementsAre(1, 2));
  EXPECT_THAT(FirstWindow(Document(1), 4).targets, IsEmpty());
  EXPECT_THAT(FirstWindow(Document(0), 4).targets, IsEmpty());
}

}  // namespace
}  // namespace hullft::worker
