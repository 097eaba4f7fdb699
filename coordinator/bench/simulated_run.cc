#include "coordinator/bench/simulated_run.h"

#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "common/error.h"
#include "common/files.h"
#include "common/npy.h"
#include "coordinator/coordinator.h"
#include "coordinator/message_io.h"
#include "coordinator/roles.h"
#include "index/sequence_sums.h"

namespace hullft::coordinator {
namespace {

constexpr std::chrono::minutes kPrepareWait{10};

// Queries of the wanted length, each another text, and embeddings that nobody looks at.
void WriteQueries(const SimulatedRun& run) {
  MakeFolders(run.folder);
  std::ofstream file(run.folder / "queries.jsonl");
  for (int64_t q = 0; q < run.queries; ++q) {
    std::string text = "query " + std::to_string(q) + " ";
    while (static_cast<int64_t>(text.size()) < run.query_bytes) text += "some words of text ";
    text.resize(static_cast<size_t>(std::max(run.query_bytes, static_cast<int64_t>(8))));
    file << nlohmann::json{{"text", text}}.dump() << "\n";
  }
  if (!file.flush()) throw IoError("write", (run.folder / "queries.jsonl").string());
  const std::vector<float> values(static_cast<size_t>(run.queries), 0);
  WriteNpy(run.folder / "queries.npy", std::vector<int64_t>{run.queries, 1}, values);
}

RunPlan PlanOf(const SimulatedRun& run) {
  RunPlan plan;
  plan.settings = run.settings;
  plan.settings.queries = run.folder / "queries.jsonl";
  plan.settings.query_embeddings = run.folder / "queries.npy";
  plan.settings.output = run.folder / "output";
  plan.settings.quiet = true;
  plan.version = "simulated";
  return plan;
}

Layout LayoutOf(int ranks) {
  Layout layout;
  layout.ranks.resize(static_cast<size_t>(ranks));
  layout.ranks[0] = {.coordinator = true, .shard = true, .worker = false, .shard_index = 0};
  layout.shards = {0};
  layout.partitions = {{0}};
  for (int rank = 1; rank < ranks; ++rank) {
    layout.ranks[static_cast<size_t>(rank)].worker = true;
    layout.workers.push_back(rank);
  }
  return layout;
}

// Every query gets the same sequences, at once.
class SimulatedShard {
 public:
  SimulatedShard(comm::Communicator& world, const std::vector<Training>& training)
      : world_(world), training_(training) {}
  void Run() {
    const int tags[] = {kToShard};
    while (true) {
      const auto envelope = world_.Receive(comm::kAnySource, tags, comm::After(std::chrono::seconds(1)));
      if (!envelope) continue;
      if (TypeOf(world_, *envelope) == Stop::kType) break;
      for (const RoundQuery& query : Decode<RoundJob>(world_, *envelope).queries) Answer(query);
    }
    SendMessage(world_, 0, kToCoordinator, MakeBye(world_, /*worker=*/false));
  }

 private:
  void Answer(const RoundQuery& query) {
    Selected selected;
    selected.query = query.query;
    selected.stop = "tol";
    selected.training = training_;
    for (Training& training : selected.training) training.sum = index::SumOf(std::span<const int32_t>(training.tokens));
    for (size_t i = 0; i < training_.size(); ++i) {
      selected.ids.push_back(i);
      selected.counts.push_back(training_[i].count);
      selected.weights.push_back(1.0 / static_cast<double>(training_.size()));
    }
    SendMessage(world_, 0, kToCoordinator, selected);
  }
  comm::Communicator& world_;
  const std::vector<Training>& training_;
};

RunStats Coordinate(comm::Communicator& world, const Layout& layout, const SimulatedRun& run) {
  WriteQueries(run);
  const RunPlan plan = PlanOf(run);
  SimulatedShard shard(world, run.training);
  std::jthread shard_thread([&] { shard.Run(); });
  const auto stop_all = [&] {
    SendMessage(world, 0, kToShard, Stop{});
    for (const int rank : layout.workers) SendMessage(world, rank, kToWorker, Stop{});
  };
  try {
    const RankContext context;
    Coordinator coordinator(world, layout, RunHeader{}, plan, context, Identity{}, {});
    const RunOutcome outcome = coordinator.Run();
    if (!outcome.workers_left) throw Error(Code::kPeer, "a worker of the simulated run did not end");
    return outcome.stats;
  } catch (...) {
    stop_all();
    throw;
  }
}

}  // namespace

RunStats Simulate(comm::Communicator& world, const SimulatedRun& run) {
  HULLFT_CHECK(world.size() >= 2);
  const Layout layout = LayoutOf(world.size());
  std::unique_ptr<WorkerTasks> tasks;
  if (world.rank() > 0) tasks = run.tasks(world.rank());
  world.Barrier(comm::After(kPrepareWait));  // the clock starts when every worker is there
  if (world.rank() == 0) return Coordinate(world, layout, run);
  WorkerRole(world, layout, *tasks).Run();
  return {};
}

TuneDone SleepingTasks::Tune(int /*lane*/, const TuneJob& job, const StageSink& stages) {
  stages(Stage::kTuning, 0, 1);
  std::this_thread::sleep_for(task_);
  TuneDone done;
  done.bytes = static_cast<int64_t>(job.text.size());
  return done;
}

}  // namespace hullft::coordinator
