#include "coordinator/bench/worker_scaling.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "common/error.h"
#include "common/thread_clock.h"
#include "coordinator/bench/simulated_run.h"
#include "coordinator/worker_models.h"

namespace hullft::coordinator {
namespace {

constexpr std::chrono::minutes kWait{10};

double QueriesPerSecond(const RunStats& stats) {
  return static_cast<double>(stats.finished) / stats.seconds;
}

// Counts the CPU time of its thread in finetuning.
class TimedTasks final : public WorkerTasks {
 public:
  TimedTasks(std::unique_ptr<WorkerTasks> tasks, double* cpu_seconds)
      : tasks_(std::move(tasks)), cpu_seconds_(cpu_seconds) {}
  int dim() const override { return tasks_->dim(); }
  void Embed(std::span<const std::string_view> texts, std::span<float> out) override { tasks_->Embed(texts, out); }
  TuneDone Tune(int lane, const TuneJob& job, const StageSink& stages) override {
    const double start = ThreadCpuSeconds();
    TuneDone done = tasks_->Tune(lane, job, stages);
    *cpu_seconds_ += ThreadCpuSeconds() - start;
    return done;
  }

 private:
  const std::unique_ptr<WorkerTasks> tasks_;
  double* const cpu_seconds_;
};

// Rank 0's; elsewhere empty.
struct Measured {
  RunStats stats;
  double worker_cpu_seconds = 0;  // of all workers
};

Measured RunOn(BenchWorld& world, int workers, const SimulatedRun& run) {
  Measured result;
  world.On(workers + 1, [&](comm::Communicator& ranks) {
    double mine = 0;
    SimulatedRun timed = run;
    timed.tasks = [&](int rank) { return std::make_unique<TimedTasks>(run.tasks(rank), &mine); };
    const RunStats stats = Simulate(ranks, timed);
    const auto all = ranks.Gather(0, {reinterpret_cast<const char*>(&mine), sizeof mine}, comm::After(kWait));
    if (ranks.rank() != 0) return;
    result.stats = stats;
    for (const std::string& one : all) {
      double seconds = 0;
      std::memcpy(&seconds, one.data(), sizeof seconds);
      result.worker_cpu_seconds += seconds;
    }
  });
  if (world.first() && result.stats.finished != run.queries)
    throw Error(Code::kInternal,
                fmt::format("{} of {} simulated queries finished", result.stats.finished, run.queries));
  return result;
}

// The first query of a worker also touches its buffers and its heap for the first time: gigabytes that the system must
// find and clear, once. A query like the measured ones pays for that before the clock starts.
void WarmUp(WorkerTasks& tasks, const std::vector<Training>& training) {
  TuneJob job;
  job.text = "words to score";
  job.training = training;
  tasks.Tune(/*lane=*/0, job, [](Stage, int64_t, int64_t) {});
}

}  // namespace

void MeasureSleepScaling(BenchWorld& world, const std::filesystem::path& scratch, const SleepScaling& settings,
                         Figures* figures) {
  const int most = std::min(settings.most_workers, world.capacity() - 1);
  double of_one = 0;
  for (int workers = 1; workers <= most; workers *= 2) {
    SimulatedRun run;
    run.folder = scratch / fmt::format("sleep{}", workers);
    run.queries = static_cast<int64_t>(workers) * settings.tasks_a_worker;
    run.training = {{std::vector<int32_t>(1000, 7), 1}};
    run.tasks = [&](int) { return std::make_unique<SleepingTasks>(std::chrono::milliseconds(settings.task_ms)); };
    const RunStats stats = RunOn(world, workers, run).stats;
    if (!world.first()) continue;
    const double rate = QueriesPerSecond(stats);
    if (workers == 1) of_one = rate;
    figures->Add({fmt::format("workers.{}.efficiency", workers),
                  fmt::format("{} worker{}, tasks of {} ms: {:.4g} tasks/s, over {} of one worker's", workers,
                              workers == 1 ? "" : "s", settings.task_ms, rate, workers),
                  rate / (workers * of_one),
                  "x",
                  0.97,
                  {}});
    if (workers * 2 <= most) continue;
    figures->Add({"coordinator.cpu_share",
                  fmt::format("coordinator's thread at {:.4g} tasks/s, of a core", rate),
                  100 * stats.coordinator_cpu_seconds / stats.seconds,
                  "%",
                  {},
                  5});
    figures->Add({"coordinator.cpu_us_per_task",
                  "coordinator's thread, a task",
                  1e6 * stats.coordinator_cpu_seconds / static_cast<double>(stats.finished),
                  "us",
                  {},
                  {}});
  }
}

void MeasureTuneScaling(BenchWorld& world, const std::filesystem::path& scratch, const TuneScaling& settings,
                        Figures* figures) {
  std::map<int, double> rates, cpu;  // by workers: the best repetition's
  for (int repetition = 0; repetition < settings.repetitions; ++repetition) {
    for (const int workers : {1, 2}) {
      SimulatedRun run;
      run.folder = scratch / fmt::format("tune{}_{}", workers, repetition);
      run.queries = static_cast<int64_t>(workers) * settings.tasks_a_worker;
      run.settings.model = settings.model;
      run.settings.tune.max_length = settings.tokens;
      for (int s = 0; s < settings.sequences; ++s) {
        Training& training = run.training.emplace_back();
        training.count = 1;
        for (int t = 0; t < settings.tokens; ++t) training.tokens.push_back(100 + (31 * t + 7 * s) % 400);
      }
      run.tasks = [&](int) {
        auto models = std::make_unique<WorkerModels>(run.settings, index::CorpusInfo{}, /*threads=*/1);
        const worker::WeightGroup alone{0, 1, [](int, std::string bytes) { return bytes; }};
        models->LoadTuner({alone, alone, alone, "bench"});
        WarmUp(*models, run.training);
        return models;
      };
      const Measured measured = RunOn(world, workers, run);
      if (!world.first()) continue;
      rates[workers] = std::max(rates[workers], QueriesPerSecond(measured.stats));
      const double seconds = measured.worker_cpu_seconds / static_cast<double>(run.queries);
      cpu[workers] = cpu.contains(workers) ? std::min(cpu[workers], seconds) : seconds;
    }
  }
  if (!world.first()) return;
  figures->Add({"finetune.one_worker", "finetuning, 1 worker of 1 thread", rates[1], "queries/s", {}, {}});
  figures->Add({"finetune.two_workers_ratio", "finetuning, 2 workers over 1", rates[2] / rates[1], "x", 1.9, {}});
  figures->Add({"finetune.cpu_seconds", "finetuning, CPU time of a query, 1 worker", cpu[1], "s", {}, {}});
  figures->Add({"finetune.two_workers_cpu_ratio",
                "finetuning, 2 workers over 1 if each had a core to itself (CPU time)",
                2 * cpu[1] / cpu[2],
                "x",
                1.9,
                {}});
}

}  // namespace hullft::coordinator
