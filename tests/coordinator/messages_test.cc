// The run's messages over the wire: what is sent is what arrives, and what is cut short is an error that names the
// peer.
#include "coordinator/message_io.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "common/comm/in_process.h"
#include "tests/caught.h"

namespace hullft::coordinator {
namespace {

template <class T>
T ThereAndBack(const T& message) {
  return comm::wire::Decode<T>(T::kType, comm::wire::Encode(T::kType, message), Peer{1, "n1"});
}

TEST(Messages, StageEventsArriveAsSent) {
  std::mt19937_64 random(1);
  for (const Stage stage : {Stage::kReceived, Stage::kScoringBefore, Stage::kTuning, Stage::kScoringAfter}) {
    const StageEvent event{static_cast<int64_t>(random()), stage, static_cast<int64_t>(random()), 50};
    const StageEvent came = ThereAndBack(event);
    EXPECT_EQ(came.query, event.query);
    EXPECT_EQ(came.stage, stage);
    EXPECT_EQ(came.step, event.step);
    EXPECT_EQ(came.steps, 50);
    EXPECT_LT(comm::wire::Encode(StageEvent::kType, event).size(), 100u);  // many of them go to rank 0
  }
}

TEST(Messages, ByeCarriesTheTrafficOfItsRank) {
  comm::InProcessWorld world(2);
  SendMessage(world.rank(1), 0, kToCoordinator, StageEvent{});
  const int64_t before = world.rank(1).traffic().bytes_sent;
  EXPECT_GT(before, 0);
  const Bye bye = ThereAndBack(MakeBye(world.rank(1), false));
  EXPECT_FALSE(bye.worker);
  EXPECT_EQ(bye.messages_sent, 1);
  EXPECT_EQ(bye.bytes_sent, before);
  EXPECT_EQ(bye.bytes_received, 0);
}

TEST(Messages, ACutEventNamesThePeer) {
  std::string bytes = comm::wire::Encode(StageEvent::kType, StageEvent{});
  bytes.pop_back();
  ExpectFault(Code::kPeer, "n3", [&] { comm::wire::Decode<StageEvent>(StageEvent::kType, bytes, Peer{7, "n3"}); });
}

}  // namespace
}  // namespace hullft::coordinator
