#include "common/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>

namespace hullft {
namespace {

TEST(ParallelFor, RunsEachIndexOnceAndRethrows) {
  for (const int64_t n : {0, 1, 3, 1000, 10007}) {
    std::vector<std::atomic<int>> hits(static_cast<size_t>(n));
    ParallelFor(n, 4, [&](int64_t i) { ++hits[static_cast<size_t>(i)]; });
    for (const auto& h : hits) EXPECT_EQ(h, 1);
  }
  EXPECT_THROW(ParallelFor(100, 3,
                           [](int64_t i) {
                             if (i == 57) throw std::runtime_error("57");
                           }),
               std::runtime_error);
}

TEST(ParallelFor, NothingBeginsAfterAFailure) {
  int64_t last = -1;
  const auto body = [&](int64_t i) {
    last = i;
    if (i == 57) throw std::runtime_error("57");
  };
  EXPECT_THROW(ParallelFor(100000, 1, body), std::runtime_error);
  EXPECT_EQ(last, 57);
}

TEST(BoundedQueue, KeepsOrderAndDrainsAfterClose) {
  BoundedQueue<int> queue(2);
  std::jthread producer([&] {
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(queue.Push(i));
    queue.Close();
  });
  for (int i = 0; i < 100; ++i) EXPECT_EQ(queue.Pop(), i);
  EXPECT_EQ(queue.Pop(), std::nullopt);
  EXPECT_FALSE(queue.Push(1));
}

}  // namespace
}  // namespace hullft
