#include "coordinator/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <queue>
#include <random>

namespace hullft::coordinator {
namespace {

// Two lanes: the first two tasks are worked on, each with its own start; what follows begins when one of them ends.
TEST(Scheduler, AWorkerWithLanesWorksOnSeveral) {
  SchedulerOptions options;
  options.workers = 2;
  options.lanes = 2;
  options.in_flight = 4;
  options.deadline_factor = 1.5;
  options.min_deadline = 1;
  options.first_deadline = 100;
  Scheduler scheduler(options);
  for (int64_t task = 0; task < 8; ++task) scheduler.Add(task, 10);
  std::map<int, std::vector<int64_t>> given;
  while (const auto next = scheduler.Next(0)) given[next->worker].push_back(next->task);
  ASSERT_EQ(given[0].size(), 4u);
  ASSERT_EQ(given[1].size(), 4u);
  EXPECT_EQ(scheduler.Finished(given[0][1], 0, 10), Outcome::kAccepted);  // the second lane first: 10 s for 10 units
  EXPECT_TRUE(scheduler.Expire(14).empty());
  EXPECT_EQ(scheduler.counters().expired, 0);
  EXPECT_EQ(scheduler.Finished(given[1][0], 1, 14), Outcome::kAccepted);  // 14 s: the slowest rate, deadline 21 s
  scheduler.Expire(22);  // begun at 0 and not answered: one of each worker, but one worker is kept
  EXPECT_EQ(scheduler.counters().expired, 1);
  EXPECT_EQ(scheduler.Finished(given[1][1], 1, 22.5), Outcome::kAccepted);
  EXPECT_EQ(scheduler.Finished(given[1][2], 1, 23), Outcome::kAccepted);  // begun at 14, not at 0
  EXPECT_EQ(scheduler.counters().expired, 1);
}

SchedulerOptions Options(int workers, int retries = 1) {
  SchedulerOptions options;
  options.workers = workers;
  options.retries = retries;
  options.min_deadline = 10;
  options.first_deadline = 100;
  return options;
}

TEST(Scheduler, LongestFirstTwoInFlightToTheEmptiestWorker) {
  Scheduler scheduler(Options(2));
  for (int i = 0; i < 6; ++i) scheduler.Add(i, i);
  std::vector<std::pair<int64_t, int>> given;
  while (const auto next = scheduler.Next(0)) given.emplace_back(next->task, next->worker);
  EXPECT_EQ(given, (std::vector<std::pair<int64_t, int>>{{5, 0}, {4, 1}, {3, 0}, {2, 1}}));
  EXPECT_EQ(scheduler.Finished(4, 1, 1), Outcome::kAccepted);
  const auto next = scheduler.Next(1);
  ASSERT_TRUE(next);
  EXPECT_EQ(next->task, 1);
  EXPECT_EQ(next->worker, 1);
  EXPECT_FALSE(scheduler.Next(1));
  EXPECT_EQ(scheduler.ready(), 1);
  EXPECT_EQ(scheduler.in_flight(), 4);
}

TEST(Scheduler, AFailureGoesToAnotherWorkerAndIsThenGivenUp) {
  Scheduler scheduler(Options(2));
  scheduler.Add(1, 1);
  ASSERT_EQ(scheduler.Next(0)->worker, 0);
  EXPECT_EQ(scheduler.Failed(1, 0, 1), Outcome::kRetry);
  const auto second = scheduler.Next(1);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->worker, 1);
  EXPECT_EQ(scheduler.attempts(1), 2);
  EXPECT_EQ(scheduler.Failed(1, 1, 2), Outcome::kAccepted);
  EXPECT_EQ(scheduler.open(), 0);
  EXPECT_EQ(scheduler.counters().given_up, 1);
}

TEST(Scheduler, TheOnlyWorkerRetriesItself) {
  Scheduler scheduler(Options(1));
  scheduler.Add(1, 1);
  ASSERT_TRUE(scheduler.Next(0));
  EXPECT_EQ(scheduler.Failed(1, 0, 1), Outcome::kRetry);
  const auto again = scheduler.Next(1);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->worker, 0);
  EXPECT_EQ(scheduler.Finished(1, 0, 2), Outcome::kAccepted);
}

TEST(Scheduler, ARetryWaitsForTheWorkerThatHasNotHadIt) {
  Scheduler scheduler(Options(2));
  for (int i = 0; i < 4; ++i) scheduler.Add(i, 10 - i);
  while (scheduler.Next(0)) {
  }
  EXPECT_EQ(scheduler.Failed(0, 0, 1), Outcome::kRetry);
  EXPECT_FALSE(scheduler.Next(1));  // worker 0 has room, but worker 1 should have task 0
  scheduler.Add(9, 1);
  EXPECT_EQ(scheduler.Next(1)->task, 9);  // others pass by
  EXPECT_EQ(scheduler.Finished(1, 1, 2), Outcome::kAccepted);
  const auto next = scheduler.Next(2);
  ASSERT_TRUE(next);
  EXPECT_EQ(next->task, 0);
  EXPECT_EQ(next->worker, 1);
}

TEST(Scheduler, APassedDeadlineMovesTheTaskAndWhatWaitsBehindIt) {
  Scheduler scheduler(Options(2));
  scheduler.Add(1, 100);
  scheduler.Add(2, 90);
  scheduler.Add(3, 50);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(scheduler.Next(0));  // 1 and 3 on worker 0, 2 on worker 1
  EXPECT_EQ(scheduler.Finished(2, 1, 9), Outcome::kAccepted);  // 0.1 s a unit: deadline of task 1 is 10 * 0.1 * 100
  EXPECT_TRUE(scheduler.Expire(99).empty());
  EXPECT_EQ(scheduler.counters().expired, 0);
  EXPECT_TRUE(scheduler.Expire(101).empty());
  EXPECT_EQ(scheduler.counters().expired, 1);
  EXPECT_EQ(scheduler.ready(), 2);
  EXPECT_EQ(scheduler.Next(101)->worker, 1);
  EXPECT_EQ(scheduler.Next(101)->worker, 1);
  scheduler.Add(4, 1);
  EXPECT_FALSE(scheduler.Next(101));  // worker 0 gets nothing while it does not answer
  EXPECT_EQ(scheduler.Finished(1, 1, 110), Outcome::kAccepted);
  EXPECT_EQ(scheduler.Finished(1, 0, 111), Outcome::kLate);
  EXPECT_EQ(scheduler.counters().late, 1);
  EXPECT_EQ(scheduler.Finished(3, 0, 112), Outcome::kAccepted);  // the first result wins, whoever has it
  EXPECT_EQ(scheduler.Finished(3, 1, 113), Outcome::kLate);
}

TEST(Scheduler, WithoutAnotherWorkerADeadlineChangesNothing) {
  Scheduler scheduler(Options(1));
  scheduler.Add(1, 1);
  ASSERT_TRUE(scheduler.Next(0));
  EXPECT_TRUE(scheduler.Expire(1e9).empty());
  EXPECT_EQ(scheduler.Finished(1, 0, 1e9), Outcome::kAccepted);
}

TEST(Scheduler, HangsOnEveryAttemptEndTheTask) {
  Scheduler scheduler(Options(3));
  scheduler.Add(1, 1);
  ASSERT_TRUE(scheduler.Next(0));
  EXPECT_TRUE(scheduler.Expire(101).empty());
  ASSERT_TRUE(scheduler.Next(101));
  EXPECT_EQ(scheduler.Expire(202), std::vector<int64_t>{1});
  EXPECT_EQ(scheduler.open(), 0);
}

TEST(Scheduler, StrangersAreLate) {
  Scheduler scheduler(Options(2));
  scheduler.Add(1, 1);
  EXPECT_EQ(scheduler.Finished(1, 0, 0), Outcome::kLate);  // never handed out
  EXPECT_EQ(scheduler.Failed(7, 1, 0), Outcome::kLate);    // unknown
  EXPECT_EQ(scheduler.open(), 1);
}

TEST(Scheduler, BusyShare) {
  Scheduler scheduler(Options(2));
  scheduler.Add(1, 1);
  ASSERT_TRUE(scheduler.Next(10));
  EXPECT_DOUBLE_EQ(scheduler.busy_share(20), 0.5);
  EXPECT_DOUBLE_EQ(scheduler.busy_share(0, 20), 1);
  EXPECT_DOUBLE_EQ(scheduler.busy_share(1, 20), 0);
  EXPECT_EQ(scheduler.Finished(1, 0, 20), Outcome::kAccepted);
  EXPECT_DOUBLE_EQ(scheduler.busy_share(30), 0.25);
  EXPECT_DOUBLE_EQ(scheduler.busy_share(0, 30), 0.5);
}

// A simulated run with workers that are slow, fail, hang and wake up again: every task ends exactly once, no worker
// ever holds more than two, and the queue of a worker is worked off in the order given.
TEST(Scheduler, PropertyEveryTaskEndsExactlyOnce) {
  struct Event {
    double time;
    int worker;
    int64_t task;
    bool operator>(const Event& other) const { return time > other.time; }
  };
  for (uint64_t seed = 0; seed < 300; ++seed) {
    std::mt19937_64 random(seed);
    const auto uniform = [&] { return std::uniform_real_distribution<double>(0, 1)(random); };
    const int workers = 1 + static_cast<int>(random() % 6), tasks = static_cast<int>(random() % 60);
    const double fail = uniform() * 0.5, hang = uniform() * 0.3;
    Scheduler scheduler(Options(workers, static_cast<int>(random() % 3)));
    std::map<int64_t, int> ended;
    std::priority_queue<Event, std::vector<Event>, std::greater<>> events;
    std::vector<double> free_at(static_cast<size_t>(workers), 0);
    std::vector<int> held(static_cast<size_t>(workers), 0);
    double now = 0;
    int added = 0;
    while (static_cast<int>(ended.size()) < tasks) {
      ASSERT_LT(now, 1e7) << "no end in sight, seed " << seed;
      while (added < tasks && (scheduler.ready() < 4 || uniform() < 0.3)) scheduler.Add(added++, uniform() * 100);
      while (const auto next = scheduler.Next(now)) {
        auto& busy_until = free_at[static_cast<size_t>(next->worker)];
        ASSERT_LE(++held[static_cast<size_t>(next->worker)], 2);
        // A hang ends at last: else a world in which all workers hang has no end.
        busy_until = std::max(busy_until, now) + uniform() * 5 + (uniform() < hang ? 2000 : 0);
        events.push({busy_until, next->worker, next->task});
      }
      if (!events.empty() && events.top().time <= now + 5) {
        const Event event = events.top();
        events.pop();
        now = std::max(now, event.time);
        --held[static_cast<size_t>(event.worker)];
        const bool failed = uniform() < fail;
        const Outcome outcome = failed ? scheduler.Failed(event.task, event.worker, now)
                                       : scheduler.Finished(event.task, event.worker, now);
        if (outcome == Outcome::kAccepted) {
          ASSERT_EQ(++ended[event.task], 1);
        }
      } else {
        now += 5;
      }
      for (const int64_t task : scheduler.Expire(now)) {
        ASSERT_EQ(++ended[task], 1);
      }
    }
    EXPECT_EQ(scheduler.open(), 0);
    EXPECT_EQ(scheduler.ready(), 0);
    EXPECT_EQ(scheduler.in_flight(), 0);
    EXPECT_EQ(scheduler.counters().finished + scheduler.counters().given_up, tasks);
    EXPECT_LE(scheduler.busy_share(now), 1 + 1e-12);
  }
}

TEST(Scheduler, AWithdrawnTaskMayBeAddedAgain) {
  Scheduler scheduler({.workers = 2});
  scheduler.Add(1, 5);
  scheduler.Add(2, 3);
  const auto first = scheduler.Next(0);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->task, 1);
  EXPECT_EQ(scheduler.HeldBy(first->worker), std::vector<int64_t>{1});
  scheduler.Withdraw(1, first->worker, 1);
  EXPECT_TRUE(scheduler.HeldBy(first->worker).empty());
  EXPECT_EQ(scheduler.attempts(1), 0);
  scheduler.Add(1, 5);
  const auto again = scheduler.Next(2);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->task, 1);
  EXPECT_EQ(scheduler.Finished(1, again->worker, 3), Outcome::kAccepted);
  EXPECT_EQ(scheduler.Finished(1, again->worker, 3), Outcome::kLate);
}

}  // namespace
}  // namespace hullft::coordinator
