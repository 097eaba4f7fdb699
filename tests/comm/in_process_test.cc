#include "common/comm/in_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "common/error.h"
#include "tests/caught.h"
#include "tests/comm/communicator_cases.h"

namespace hullft::comm {
namespace {

using std::chrono::milliseconds;

// Runs the body on every rank, each in its own thread.
void OnEveryRank(InProcessWorld& world, const std::function<void(Communicator&)>& body) {
  std::vector<std::jthread> threads;
  for (int r = 0; r < world.size(); ++r) {
    threads.emplace_back([&, r] {
      try {
        body(world.rank(r));
      } catch (const std::exception& error) {
        ADD_FAILURE() << "rank " << r << ": " << error.what();
      }
    });
  }
}

class InProcess : public testing::TestWithParam<std::tuple<CommunicatorCase, int>> {};

TEST_P(InProcess, Behaves) {
  const auto& [one, size] = GetParam();
  std::vector<std::string> hosts;
  for (int r = 0; r < size; ++r) hosts.push_back("node" + std::to_string(r / 2));
  InProcessWorld world(size, hosts);
  OnEveryRank(world, one.body);
}

INSTANTIATE_TEST_SUITE_P(Cases, InProcess,
                         testing::Combine(testing::ValuesIn(CommunicatorCases()), testing::Values(1, 2, 3, 4, 5, 8)),
                         [](const auto& info) {
                           return std::get<0>(info.param).name + "_" + std::to_string(std::get<1>(info.param));
                         });

TEST(InProcessWorld, AbortEndsEveryWaitWithTheReason) {
  InProcessWorld world(4, {"a", "b", "c", "d"});
  OnEveryRank(world, [&](Communicator& c) {
    const auto expect_abort = [](const std::function<void()>& call) {
      ExpectFault(Code::kPeer, "rank 2 on host c aborted the run: disk on fire", call);
    };
    const Deadline far = After(milliseconds(60'000));
    const int tag = 1;
    switch (c.rank()) {
      case 0:
        return expect_abort([&] { (void)c.Receive(kAnySource, std::span(&tag, 1), far); });
      case 1:
      case 3:
        return expect_abort([&] { c.Barrier(far); });
      default:
        std::this_thread::sleep_for(milliseconds(20));
        c.Abort("disk on fire");
        return expect_abort([&] { c.Send(0, 1, "too late"); });
    }
  });
}

TEST(InProcessWorld, GivesThisMachinesNameWithoutHosts) {
  InProcessWorld world(2);
  EXPECT_EQ(world.rank(0).hosts().size(), 2);
  EXPECT_EQ(world.rank(0).hosts()[1], world.rank(1).hosts()[0]);
  EXPECT_FALSE(world.rank(0).hosts()[0].empty());
}

// No copy on the way: the very buffer that was sent arrives.
TEST(InProcessWorld, MovesPayloads) {
  InProcessWorld world(2);
  std::string payload(1 << 20, 'x');
  const char* data = payload.data();
  world.rank(0).Send(1, 3, std::move(payload));
  const int tag = 3;
  const auto message = world.rank(1).Receive(0, std::span(&tag, 1), After(milliseconds(1'000)));
  ASSERT_TRUE(message);
  EXPECT_EQ(static_cast<const void*>(message->payload.data()), static_cast<const void*>(data));
}

}  // namespace
}  // namespace hullft::comm
