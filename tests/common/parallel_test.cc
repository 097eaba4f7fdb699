#include "common/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>

namespace hullft {
namespace {

TEST(ParallelFor, RunsEachIndexOnceAndRethrows) {
  std::vector<std::atomic<int>> hits(1000);
  ParallelFor(1000, 4, [&](int64_t i) { ++hits[static_cast<size_t>(i)]; });
  for (const auto& h : hits) EXPECT_EQ(h, 1);
  EXPECT_THROW(ParallelFor(100, 3, [](int64_t i) { if (i == 57) throw std::runtime_error("57"); }), std::runtime_error);
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
