#include "tests/comm/communicator_cases.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <thread>

#include "common/error.h"
#include "common/hash.h"
#include "tests/caught.h"

namespace hullft::comm {
namespace {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

Deadline Soon() {
  return After(milliseconds(60'000));
}

std::optional<Envelope> Get(Communicator& c, int source, int tag, Deadline deadline = Soon()) {
  return c.Receive(source, std::span(&tag, 1), deadline);
}

// Bytes that differ with the seed and the place, of any length.
std::string Bytes(uint64_t seed, size_t size) {
  std::string bytes(size, '\0');
  uint64_t state = seed;
  for (char& byte : bytes) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    byte = static_cast<char>(state >> 56);
  }
  return bytes;
}

void OrderOfOneTag(Communicator& c) {
  constexpr int kMessages = 200;
  for (int to = 0; to < c.size(); ++to) {
    for (int i = 0; i < kMessages; ++i) c.Send(to, 5, fmt::format("{} {} {}", c.rank(), to, i));
  }
  for (int from = c.size() - 1; from >= 0; --from) {
    for (int i = 0; i < kMessages; ++i) {
      const auto message = Get(c, from, 5);
      ASSERT_TRUE(message);
      EXPECT_EQ(message->source, from);
      EXPECT_EQ(message->payload, fmt::format("{} {} {}", from, c.rank(), i));
    }
  }
}

// A small message must not overtake a large one sent before it.
void OrderOfSizes(Communicator& c) {
  const int to = (c.rank() + 1) % c.size(), from = (c.rank() + c.size() - 1) % c.size();
  const std::vector<size_t> sizes = {3'000'000, 0, 1, 100'000, 5, 8'100, 8'200, 1'000'000, 2};
  for (const size_t size : sizes) c.Send(to, 1, Bytes(size + 1, size));
  for (const size_t size : sizes) {
    const auto message = Get(c, from, 1);
    ASSERT_TRUE(message);
    EXPECT_EQ(message->payload.size(), size);
    EXPECT_TRUE(message->payload == Bytes(size + 1, size));
  }
}

void TagsAndAnySource(Communicator& c) {
  for (int to = 0; to < c.size(); ++to) {
    c.Send(to, 2, fmt::format("two {}", c.rank()));
    c.Send(to, 1, fmt::format("one {}", c.rank()));
  }
  std::vector<int> seen(static_cast<size_t>(c.size()), 0);
  for (int i = 0; i < c.size(); ++i) {  // tag 1 first, though it was sent last
    const auto message = Get(c, kAnySource, 1);
    ASSERT_TRUE(message);
    EXPECT_EQ(message->payload, fmt::format("one {}", message->source));
    ++seen[static_cast<size_t>(message->source)];
  }
  EXPECT_THAT(seen, testing::Each(1));
  const std::vector<int> both = {1, 2, 3};
  for (int i = 0; i < c.size(); ++i) {
    const auto message = c.Receive(i, both, Soon());
    ASSERT_TRUE(message);
    EXPECT_EQ(message->tag, 2);
    EXPECT_EQ(message->source, i);
  }
  EXPECT_FALSE(c.Receive(kAnySource, both, After(milliseconds(1))));
}

void SeveralTagsInOrderOfArrival(Communicator& c) {
  for (int i = 0; i < 20; ++i) c.Send(c.rank(), i % 3, std::to_string(i));
  const std::vector<int> tags = {2, 0, 1};
  for (int i = 0; i < 20; ++i) {
    const auto message = c.Receive(kAnySource, tags, Soon());
    ASSERT_TRUE(message);
    EXPECT_EQ(message->payload, std::to_string(i));
    EXPECT_EQ(message->source, c.rank());
  }
}

void BigPayload(Communicator& c) {
  if (c.size() > 4) return;  // memory
  const size_t size = (size_t{64} << 20) + 17;
  const int to = (c.rank() + 1) % c.size(), from = (c.rank() + c.size() - 1) % c.size();
  std::string payload(size, static_cast<char>('a' + c.rank()));
  payload[12'345'678] = '!';
  payload.back() = '$';
  c.Send(to, 1, payload);
  const auto message = Get(c, from, 1);
  ASSERT_TRUE(message);
  std::fill(payload.begin(), payload.end(), static_cast<char>('a' + from));
  payload[12'345'678] = '!';
  payload.back() = '$';
  EXPECT_EQ(Hash64(message->payload), Hash64(payload));
}

void ReceiveGivesUpAtItsDeadline(Communicator& c) {
  c.Send(c.rank(), 8, "other tag");
  const auto start = Clock::now();
  EXPECT_FALSE(Get(c, kAnySource, 7, After(milliseconds(30))));
  EXPECT_GE(Clock::now() - start, milliseconds(30));
  EXPECT_FALSE(Get(c, c.rank(), 7, Clock::now() - milliseconds(5)));
  EXPECT_TRUE(Get(c, c.rank(), 8, Clock::now() - milliseconds(5))) << "what is there is given even after the deadline";
}

// A rank that gets no core for a while is late as well, and named: on a busy machine all are given longer.
void MissingRankIsNamed(Communicator& c) {
  if (c.size() == 1) return;
  const int missing = c.size() - 1;
  const auto alone = AllOf(HasSubstr("barrier 1"), HasSubstr(fmt::format("not yet entered by rank {}", missing)),
                           HasSubstr(c.hosts()[static_cast<size_t>(missing)]), Not(HasSubstr(",")));
  for (milliseconds wait{100};; wait *= 4) {
    const auto group = c.Split(0, Soon());  // after an error in a collective it is of no more use
    std::string message;
    if (c.rank() != missing) {
      const Error error = Caught([&] { group->Barrier(After(wait)); });
      EXPECT_EQ(error.code(), Code::kPeer);
      message = error.message();
    }
    const bool others_late = c.rank() != missing && !testing::Value(message, alone);
    const ScoredId vote{others_late ? 1.0 : 0.0, 0};
    if (c.MaxReduce(std::span(&vote, 1), Soon())[0].score == 0) return;
    if (wait > milliseconds(5'000)) {
      EXPECT_FALSE(others_late) << message;
      return;
    }
  }
}

void LateRankIsWaitedFor(Communicator& c) {
  if (c.rank() == c.size() - 1) std::this_thread::sleep_for(milliseconds(150));
  c.Barrier(Soon());
  EXPECT_EQ(c.Broadcast(c.size() - 1, c.rank() == c.size() - 1 ? "late" : "", Soon()), "late");
}

void DifferentCollectivesAreNoticed(Communicator& c) {
  if (c.size() != 2) return;
  const Error error = Caught([&] {
    const std::vector<ScoredId> one(1);
    if (c.rank() == 0) c.Barrier(Soon());
    if (c.rank() == 1) c.MaxReduce(one, Soon());
  });
  EXPECT_EQ(error.code(), Code::kPeer);
  EXPECT_THAT(error.message(), HasSubstr(c.rank() == 0 ? "rank 1 on host" : "rank 0 on host"));
  EXPECT_THAT(error.message(), HasSubstr(c.rank() == 0 ? "is in a max-reduce instead" : "is in a barrier instead"));
}

void BroadcastFromEveryRoot(Communicator& c) {
  for (int root = 0; root < c.size(); ++root) {
    for (const size_t size : {0UL, 1UL, 24'576UL, 1UL << 20, (3UL << 20) + 5}) {
      const std::string expected = Bytes(size * 31 + static_cast<size_t>(root), size);
      const std::string got = c.Broadcast(root, c.rank() == root ? expected : "ignored", Soon());
      EXPECT_TRUE(got == expected) << "root " << root << ", " << size << " bytes";
    }
  }
}

void GatherToEveryRoot(Communicator& c) {
  for (int root = 0; root < c.size(); ++root) {
    const auto all =
        c.Gather(root, Bytes(static_cast<uint64_t>(c.rank()), static_cast<size_t>(c.rank() * 1'000)), Soon());
    ASSERT_EQ(all.size(), c.rank() == root ? static_cast<size_t>(c.size()) : 0);
    for (size_t r = 0; r < all.size(); ++r) EXPECT_TRUE(all[r] == Bytes(r, r * 1'000));
  }
}

// Nobody leaves a round before the slow rank of it has come. The ranks of this test share a host, so a clock.
void BarrierHoldsEverybody(Communicator& c) {
  for (int round = 0; round < 20; ++round) {
    const int slow = round % c.size();
    if (c.rank() == slow) {
      std::this_thread::sleep_for(milliseconds(2));
      for (int r = 0; r < c.size(); ++r) c.Send(r, 9, std::to_string(Clock::now().time_since_epoch().count()));
    }
    c.Barrier(Soon());
    const auto left = Clock::now().time_since_epoch().count();
    const auto message = Get(c, slow, 9);
    ASSERT_TRUE(message);
    EXPECT_GE(left, std::stoll(message->payload));
  }
}

// Values of any rank can be made by every rank: the oracle needs no communication.
std::vector<ScoredId> ValuesOf(int rank, uint64_t seed, size_t count) {
  std::mt19937_64 random(seed * 1'000 + static_cast<uint64_t>(rank));
  std::vector<ScoredId> values(count);
  for (auto& value : values) {  // few distinct scores, so that many tie; ids anywhere in 64 bits
    value.score = static_cast<double>(static_cast<int>(random() % 5) - 2) / 3;
    if (random() % 16 == 0) value.score = -std::numeric_limits<double>::infinity();
    if (random() % 16 == 0) value.score = std::numeric_limits<double>::quiet_NaN();
    value.id = random() % 4 == 0 ? random() : random() % 8;
  }
  return values;
}

void MaxReduceAgainstOracle(Communicator& c) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const size_t count = seed % 7 * 5;
    const auto got = c.MaxReduce(ValuesOf(c.rank(), seed, count), Soon());
    ASSERT_EQ(got.size(), count);
    for (size_t i = 0; i < count; ++i) {
      std::vector<ScoredId> column;
      for (int r = 0; r < c.size(); ++r) column.push_back(ValuesOf(r, seed, count)[i]);
      // Stable sort by (NaN last, score descending, id ascending), spelled out apart from the code under test.
      std::sort(column.begin(), column.end(), [](const ScoredId& a, const ScoredId& b) {
        const auto key = [](const ScoredId& v) {
          return std::tuple(std::isnan(v.score), std::isnan(v.score) ? 0.0 : -v.score, v.id);
        };
        return key(a) < key(b);
      });
      EXPECT_EQ(got[i].id, column[0].id);
      EXPECT_TRUE(got[i].score == column[0].score || (std::isnan(got[i].score) && std::isnan(column[0].score)));
    }
  }
}

void MaxReduceOfDifferentCounts(Communicator& c) {
  if (c.size() != 2) return;
  const std::vector<ScoredId> values(static_cast<size_t>(3 + c.rank()));
  const Error error = Caught([&] { c.MaxReduce(values, Soon()); });
  EXPECT_EQ(error.code(), Code::kPeer);
  EXPECT_THAT(error.message(), HasSubstr(c.rank() == 0 ? "rank 1 on host" : "rank 0 on host"));
  EXPECT_THAT(error.message(),
              HasSubstr(c.rank() == 0 ? "sent 4 values where this rank has 3" : "sent 3 values where this rank has 4"));
}

void SplitByParity(Communicator& c) {
  const auto half = c.Split(c.rank() % 2, Soon());
  ASSERT_TRUE(half);
  EXPECT_EQ(half->size(), (c.size() + 1 - c.rank() % 2) / 2);
  EXPECT_EQ(half->rank(), c.rank() / 2);
  EXPECT_EQ(half->hosts()[static_cast<size_t>(half->rank())], c.hosts()[static_cast<size_t>(c.rank())]);
  // The same tags in both groups and in the parent do not mix.
  const int next = (half->rank() + 1) % half->size();
  half->Send(next, 1, "half");
  c.Send(c.rank(), 1, "parent");
  const auto all = half->Gather(0, std::to_string(c.rank()), Soon());
  for (size_t r = 0; r < all.size(); ++r) EXPECT_EQ(all[r], std::to_string(2 * static_cast<int>(r) + c.rank() % 2));
  const auto message = Get(*half, kAnySource, 1);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->payload, "half");
  EXPECT_EQ(Get(c, kAnySource, 1)->payload, "parent");
  c.Barrier(Soon());
}

void SplitLeavesSomeOut(Communicator& c) {
  const bool in = c.rank() != 1;
  const auto group = c.Split(in ? 7 : -1, Soon());
  EXPECT_EQ(group != nullptr, in);
  if (group) {
    EXPECT_EQ(group->size(), c.size() > 1 ? c.size() - 1 : 1);
    group->Barrier(Soon());
    const auto again = group->Split(group->rank() == 0 ? 0 : -1, Soon());  // a split of a split
    EXPECT_EQ(again != nullptr, group->rank() == 0);
  }
  c.Barrier(Soon());
}

void SendFromManyThreads(Communicator& c) {
  constexpr int kThreads = 4, kMessages = 250;
  const int to = (c.rank() + 1) % c.size();
  std::vector<std::jthread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kMessages; ++i) c.Send(to, t, std::to_string(i));
    });
    threads.emplace_back([&, t] {  // a receiver per tag, beside the senders
      for (int i = 0; i < kMessages; ++i) {
        const auto message = Get(c, kAnySource, t);
        ASSERT_TRUE(message);
        EXPECT_EQ(message->payload, std::to_string(i));
      }
    });
  }
}

void TrafficIsExact(Communicator& c) {
  c.Send(c.rank(), 1, "to oneself: free");
  EXPECT_TRUE(Get(c, c.rank(), 1));
  EXPECT_EQ(c.traffic().messages_sent, 0);
  EXPECT_EQ(c.traffic().bytes_received, 0);
  if (c.size() == 1) return;
  const int to = (c.rank() + 1) % c.size(), from = (c.rank() + c.size() - 1) % c.size();
  for (int i = 0; i < 10; ++i) c.Send(to, 1, std::string(100, 'x'));
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(Get(c, from, 1));
  const Traffic before = c.traffic();
  EXPECT_EQ(before.messages_sent, 10);
  EXPECT_EQ(before.messages_received, 10);
  EXPECT_EQ(before.bytes_sent, 1'000);
  EXPECT_EQ(before.bytes_received, 1'000);
  // A broadcast reaches each rank but the root once; a gather leaves each rank but the root once.
  (void)c.Broadcast(0, std::string(1'000, 'y'), Soon());
  EXPECT_EQ(c.traffic().bytes_received - before.bytes_received, c.rank() == 0 ? 0 : 1'000);
  (void)c.Gather(0, std::string(50, 'z'), Soon());
  EXPECT_EQ(c.traffic().bytes_received - before.bytes_received, c.rank() == 0 ? 50 * (c.size() - 1) : 1'000);
  if (c.size() == 4) {  // two steps of recursive doubling
    const Traffic start = c.traffic();
    (void)c.MaxReduce(std::vector<ScoredId>(16), Soon());
    EXPECT_EQ(c.traffic().bytes_sent - start.bytes_sent, 2 * 16 * 16);
    EXPECT_EQ(c.traffic().messages_received - start.messages_received, 2);
  }
}

void WrongRanksAreRefused(Communicator& c) {
  EXPECT_EQ(Caught([&] { c.Send(c.size(), 1, ""); }).code(), Code::kInternal);
  EXPECT_EQ(Caught([&] { Get(c, -2, 1); }).code(), Code::kInternal);
  EXPECT_EQ(Caught([&] { (void)c.Broadcast(c.size(), "", Soon()); }).code(), Code::kInternal);
}

}  // namespace

const std::vector<CommunicatorCase>& CommunicatorCases() {
  static const std::vector<CommunicatorCase> cases = {
      {"OrderOfOneTag", OrderOfOneTag},
      {"OrderOfSizes", OrderOfSizes},
      {"TagsAndAnySource", TagsAndAnySource},
      {"SeveralTagsInOrderOfArrival", SeveralTagsInOrderOfArrival},
      {"BigPayload", BigPayload},
      {"ReceiveGivesUpAtItsDeadline", ReceiveGivesUpAtItsDeadline},
      {"MissingRankIsNamed", MissingRankIsNamed},
      {"LateRankIsWaitedFor", LateRankIsWaitedFor},
      {"DifferentCollectivesAreNoticed", DifferentCollectivesAreNoticed},
      {"BroadcastFromEveryRoot", BroadcastFromEveryRoot},
      {"GatherToEveryRoot", GatherToEveryRoot},
      {"BarrierHoldsEverybody", BarrierHoldsEverybody},
      {"MaxReduceAgainstOracle", MaxReduceAgainstOracle},
      {"MaxReduceOfDifferentCounts", MaxReduceOfDifferentCounts},
      {"SplitByParity", SplitByParity},
      {"SplitLeavesSomeOut", SplitLeavesSomeOut},
      {"SendFromManyThreads", SendFromManyThreads},
      {"TrafficIsExact", TrafficIsExact},
      {"WrongRanksAreRefused", WrongRanksAreRefused},
  };
  return cases;
}

}  // namespace hullft::comm
