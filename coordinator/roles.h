// What a shard and a worker do from their first message to Stop. Each runs on a thread of its own; the coordinator's
// part is coordinator.h. An exception that leaves Run ends the run (run_rank.cc tells the coordinator).
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/comm/communicator.h"
#include "common/npy.h"
#include "coordinator/layout.h"
#include "coordinator/messages.h"
#include "coordinator/round.h"
#include "coordinator/settings.h"
#include "coordinator/test_hooks.h"
#include "coordinator/worker_tasks.h"
#include "index/corpus.h"

namespace hullft::coordinator {

class ShardRole {
 public:
  // Opens the partitions that the layout gives this rank (with --stage, copies on its own disk), and on the first shard
  // --query-embeddings.
  ShardRole(comm::Communicator& world, const Layout& layout, const RunSettings& settings,
            const index::CorpusInfo& corpus, int threads);
  int64_t open_sequences() const;
  // Share of the corpus that all shards have open: once, before Run.
  void SetCoverage(double coverage);
  void Run();

 private:
  void Handle(const comm::Envelope& envelope);
  void OnDamaged(const comm::Envelope& envelope);
  void StartRounds();  // first shard: of the jobs whose targets have come
  std::vector<float> StoredTargets(const RoundJob& job) const;
  void DoRound(const RoundWork& work);

  comm::Communicator& world_;
  const std::vector<int> shards_;
  const int self_, dim_;
  std::vector<std::unique_ptr<index::Partition>> partitions_;
  std::unique_ptr<NpyFile> stored_;  // first shard, with --query-embeddings
  RoundSettings round_settings_;
  std::unique_ptr<Round> round_;
  std::deque<RoundJob> jobs_;
  std::map<int64_t, Targets> targets_;
  std::set<int64_t> done_rounds_;  // targets of these came a second time, from a worker that was thought lost
  bool stopped_ = false;
};

class WorkerRole {
 public:
  // tasks: not owned.
  WorkerRole(comm::Communicator& world, const Layout& layout, WorkerTasks& tasks)
      : world_(world), first_shard_(layout.shards.front()), tasks_(tasks) {}
  void Run();

  static constexpr std::chrono::milliseconds kEventInterval{500};

 private:
  void Handle(const comm::Envelope& envelope);
  void OnDamaged(const comm::Envelope& envelope);
  void WorkLane(int lane);  // a thread: takes jobs until Stop
  bool DoNext(int lane);    // waits for a job and does it; false: stopped
  void Embed(const EmbedJob& job);
  TuneDone Tune(const TuneJob& job, int64_t number, int lane);
  void Report(const StageEvent& event);

  comm::Communicator& world_;
  const int first_shard_;
  WorkerTasks& tasks_;
  const TestHooks hooks_ = TestHooks::FromEnvironment();

  std::mutex mutex_;  // of what follows
  std::condition_variable work_;
  std::deque<EmbedJob> embeddings_;  // these first: all other workers wait for what comes of them
  std::deque<TuneJob> jobs_;
  std::set<std::pair<int64_t, int>> working_;  // query and setting that lanes are at
  bool embedding_ = false;
  int64_t tasks_begun_ = 0;
  bool stopped_ = false;
  std::exception_ptr failure_;  // of a lane: the role ends with it

  std::mutex event_mutex_;
  comm::Clock::time_point next_event_;
};

}  // namespace hullft::coordinator
