// The worker's loop and the coordinator around workers that do what a test wants: no models.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "common/comm/in_process.h"
#include "common/error.h"
#include "common/files.h"
#include "common/hash.h"
#include "coordinator/bench/bench_world.h"
#include "coordinator/bench/measure.h"
#include "coordinator/bench/simulated_run.h"
#include "coordinator/journal.h"
#include "coordinator/message_io.h"
#include "coordinator/roles.h"

namespace hullft::coordinator {
namespace {
using std::chrono::milliseconds;
using ::testing::HasSubstr;

class GivenTasks final : public WorkerTasks {
 public:
  using Body = std::function<TuneDone(const TuneJob&, const StageSink&)>;
  explicit GivenTasks(Body body) : body_(std::move(body)) {}
  int dim() const override { return 0; }
  void Embed(std::span<const std::string_view>, std::span<float>) override {}
  TuneDone Tune(int /*lane*/, const TuneJob& job, const StageSink& stages) override { return body_(job, stages); }

 private:
  Body body_;
};

TuneJob JobOf(int64_t query) {
  return {query, 0, "text", HashHex("text"), {}, {}};
}

// What worker 1 sent to the coordinator for these jobs, up to its Bye.
std::vector<comm::Envelope> Sent(const GivenTasks::Body& body, const std::vector<TuneJob>& jobs) {
  comm::InProcessWorld world(2);
  Layout layout;
  layout.shards = {0};
  layout.workers = {1};
  for (const TuneJob& job : jobs) SendMessage(world.rank(0), 1, kToWorker, job);
  std::jthread worker([&] {
    GivenTasks tasks(body);
    WorkerRole(world.rank(1), layout, tasks).Run();
  });
  std::vector<comm::Envelope> sent;
  const int tags[] = {kToCoordinator};
  size_t done = 0;
  while (auto envelope = world.rank(0).Receive(1, tags, comm::After(std::chrono::seconds(60)))) {
    const uint16_t type = TypeOf(world.rank(0), *envelope);
    if (type == TuneDone::kType && ++done == jobs.size()) SendMessage(world.rank(0), 1, kToWorker, Stop{});
    sent.push_back(*std::move(envelope));
    if (type == Bye::kType) return sent;
  }
  ADD_FAILURE() << "no Bye";
  return sent;
}

TEST(WorkerRole, ManyStagesFewEventsAndTheFirstAtOnce) {
  const auto start = comm::Clock::now();
  const auto sent = Sent(
      [](const TuneJob&, const StageSink& stages) {
        for (int step = 0; step < 100'000; ++step) stages(Stage::kTuning, step, 100'000);
        return TuneDone{};
      },
      {JobOf(1), JobOf(2), JobOf(3)});
  const auto passed = comm::Clock::now() - start;
  const comm::InProcessWorld world(2);
  int64_t events = 0;
  for (const comm::Envelope& envelope : sent)
    events += comm::wire::Reader::Type(envelope.payload, {}) == StageEvent::kType ? 1 : 0;
  EXPECT_GE(events, 1);
  EXPECT_LE(events, 1 + passed / WorkerRole::kEventInterval);
  const auto first = comm::wire::Decode<StageEvent>(StageEvent::kType, sent.front().payload, {});
  EXPECT_EQ(first.query, 1);
  EXPECT_EQ(first.stage, Stage::kReceived);
}

TEST(WorkerRole, AFailedTaskIsAResultAndTheWorkerGoesOn) {
  const auto sent = Sent(
      [](const TuneJob& job, const StageSink&) {
        if (job.query == 1) throw Error(Code::kNumeric, "the loss is nan");
        TuneDone done;
        done.steps = 5;
        return done;
      },
      {JobOf(1), JobOf(2)});
  std::vector<TuneDone> results;
  for (const comm::Envelope& envelope : sent) {
    if (comm::wire::Reader::Type(envelope.payload, {}) == TuneDone::kType)
      results.push_back(comm::wire::Decode<TuneDone>(TuneDone::kType, envelope.payload, {}));
  }
  ASSERT_EQ(results.size(), 2u);
  EXPECT_EQ(results[0].query, 1);
  ASSERT_TRUE(results[0].failure);
  EXPECT_THAT(results[0].failure->message, HasSubstr("the loss is nan"));
  EXPECT_EQ(results[1].query, 2);
  EXPECT_FALSE(results[1].failure);
  EXPECT_EQ(results[1].steps, 5);
}

SimulatedRun RunOf(const ScratchFolder& scratch, int64_t queries) {
  SimulatedRun run;
  run.folder = scratch.path() / "run";
  run.queries = queries;
  run.training = {{{1, 2, 3}, 2}};
  return run;
}

RunStats Statistics(int workers, const SimulatedRun& run) {
  BenchWorld world;
  RunStats stats;
  world.On(workers + 1, [&](comm::Communicator& ranks) {
    const RunStats own = Simulate(ranks, run);
    if (ranks.rank() == 0) stats = own;
  });
  return stats;
}

TEST(SimulatedRun, EveryQueryHasItsRowAndEveryRankItsFigures) {
  const ScratchFolder scratch("/tmp");
  SimulatedRun run = RunOf(scratch, 40);
  run.tasks = [](int) { return std::make_unique<SleepingTasks>(milliseconds(1)); };
  const RunStats stats = Statistics(3, run);
  EXPECT_EQ(stats.finished, 40);
  EXPECT_EQ(stats.failed, 0);
  ASSERT_EQ(stats.workers.size(), 3u);
  int64_t finished = 0;
  for (const WorkerStats& worker : stats.workers) {
    finished += worker.finished;
    EXPECT_GT(worker.busy, 0);
    EXPECT_LE(worker.busy, 1);
  }
  EXPECT_EQ(finished, 40);
  ASSERT_EQ(stats.ranks.size(), 4u);
  int64_t sent = 0, received = 0;
  for (const RankTraffic& rank : stats.ranks) sent += rank.messages_sent, received += rank.messages_received;
  EXPECT_GE(sent, 2 * 40);  // each query goes out and comes back
  EXPECT_GT(stats.BytesPerQuery(), 400);
  EXPECT_EQ(ReadJournal(run.folder / "output/results.jsonl").rows.size(), 40u);
  const auto json = nlohmann::json::parse(ReadFile(run.folder / "output/execution.json"));
  EXPECT_EQ(json["finished"], 40);
  EXPECT_EQ(json["ranks"].size(), 4u);
}

// Worker 1 keeps its first task until worker 2 has done it too, which happens only after the deadline; worker 2 then
// keeps its next one until the late result has come.
TEST(SimulatedRun, AfterTheDeadlineTheFirstResultWinsAndTheLateOneIsDropped) {
  const ScratchFolder scratch("/tmp");
  SimulatedRun run = RunOf(scratch, 400);
  run.settings.task_timeout = 0.3;
  std::atomic<int64_t> kept = -1;
  std::atomic<bool> done_elsewhere = false, returned = false;
  const auto wait_for = [](const std::atomic<bool>& event) {
    for (int i = 0; i < 6000 && !event; ++i) std::this_thread::sleep_for(milliseconds(10));
  };
  run.tasks = [&](int rank) {
    return std::make_unique<GivenTasks>([&, rank](const TuneJob& job, const StageSink&) {
      if (rank == 1 && kept == -1) {
        kept = job.query;
        wait_for(done_elsewhere);
        returned = true;
      } else if (rank == 2 && job.query == kept) {
        done_elsewhere = true;
      } else if (rank == 2 && done_elsewhere) {
        wait_for(returned);
        std::this_thread::sleep_for(milliseconds(2));
      } else {
        std::this_thread::sleep_for(milliseconds(5));
      }
      return TuneDone{};
    });
  };
  const RunStats stats = Statistics(2, run);
  EXPECT_EQ(stats.finished, 400);
  EXPECT_EQ(stats.failed, 0);
  EXPECT_GE(stats.expired, 1);
  EXPECT_EQ(stats.late, 2);  // and the one that waited behind it
  std::set<int64_t> queries;
  for (const Row& row : ReadJournal(run.folder / "output/results.jsonl").rows) {
    EXPECT_TRUE(queries.insert(row.query).second) << "query " << row.query << " twice";
    if (row.query == kept) {
      EXPECT_EQ(row.worker, 2);
    }
  }
  EXPECT_EQ(queries.size(), 400u);
}

TEST(SimulatedRun, WhatFailsIsRetriedElsewhereAndCounted) {
  const ScratchFolder scratch("/tmp");
  SimulatedRun run = RunOf(scratch, 10);
  run.settings.retries = 1;
  run.tasks = [&](int rank) {
    return std::make_unique<GivenTasks>([rank](const TuneJob& job, const StageSink&) {
      if (rank == 1 || job.query == 3) throw Error(Code::kMemory, "out of memory");
      return TuneDone{};
    });
  };
  const RunStats stats = Statistics(2, run);
  EXPECT_EQ(stats.finished, 9);
  EXPECT_EQ(stats.failed, 1);
  EXPECT_GE(stats.retried, 1);
  for (const Row& row : ReadJournal(run.folder / "output/results.jsonl").rows)
    EXPECT_EQ(row.ok, row.query != 3) << row.query;
}

}  // namespace
}  // namespace hullft::coordinator
