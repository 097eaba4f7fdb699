// A run without corpus: the coordinator, scheduler, journal, worker loop and communicator of a real one, with a shard
// that answers every query at once and workers whose tasks the caller gives.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

#include "common/comm/communicator.h"
#include "coordinator/run_stats.h"
#include "coordinator/settings.h"
#include "coordinator/worker_tasks.h"

namespace hullft::coordinator {

struct SimulatedRun {
  std::filesystem::path folder;  // of the run, with its queries; made, must not hold a run
  int64_t queries = 1;
  int64_t query_bytes = 400;
  std::vector<Training> training;  // of every query
  RunSettings settings;            // retries, task_timeout, batch, tune
  // The tasks of the worker on this rank; called on that rank before the run begins.
  std::function<std::unique_ptr<WorkerTasks>(int rank)> tasks;
};

// Collective over world, of two or more ranks: rank 0 is coordinator and shard, the others are workers. On rank 0
// returns what the run came to.
RunStats Simulate(comm::Communicator& world, const SimulatedRun& run);

// Sleeps through its tasks. Thread safety: as WorkerTasks.
class SleepingTasks final : public WorkerTasks {
 public:
  explicit SleepingTasks(std::chrono::milliseconds task) : task_(task) {}
  int dim() const override { return 0; }
  void Embed(std::span<const std::string_view>, std::span<float>) override {}
  TuneDone Tune(int /*lane*/, const TuneJob& job, const StageSink& stages) override;

 private:
  const std::chrono::milliseconds task_;
};

}  // namespace hullft::coordinator
