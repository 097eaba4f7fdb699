// hullft bench cluster: what coordinator, journal, communicator and rounds cost, with the code that a run uses.
#include <algorithm>
#include <cstdio>

#include "common/error.h"
#include "common/figures.h"
#include "common/files.h"
#include "common/options.h"
#include "coordinator/bench/bench_world.h"
#include "coordinator/bench/journal_rate.h"
#include "coordinator/bench/measure.h"
#include "coordinator/bench/round_cost.h"
#include "coordinator/bench/subjects.h"
#include "coordinator/bench/worker_scaling.h"

namespace hullft::coordinator {
namespace {

struct ClusterSettings {
  std::string scratch = ".";
  std::string output;
  std::vector<std::string> parts;
  int64_t journal_rows = 20'000;
  RoundCost rounds;
  SleepScaling sleep;
  TuneScaling tune;

  bool Wants(const std::string& part) const { return parts.empty() || std::ranges::count(parts, part) > 0; }
};

void Bind(ClusterSettings* settings, OptionTable* table) {
  table->Add("part", &settings->parts, "measure only this: journal, rounds, workers, finetune; may be repeated");
  table->Add("scratch", &settings->scratch, "folder for temporary files, on the disk that will hold run folders");
  table->Add("output", &settings->output, "file for the figures as JSON, which hullft plan --rates reads");
  table->Add("journal-rows", &settings->journal_rows, "journal: rows").Range(1, 1e9);
  table->Add("shards", &settings->rounds.shards, "rounds: shards that hold a part of the corpus each").Range(1, 4096);
  table->Add("shard-rows", &settings->rounds.rows, "rounds: sequences of a shard").Range(1, 1e9);
  table->Add("dim", &settings->rounds.dim, "rounds: width of the embeddings").Range(1, 65536);
  table->Add("queries", &settings->rounds.queries, "rounds: queries of a round").Range(1, 1e6);
  table->Add("most-workers", &settings->sleep.most_workers, "workers: the largest number of simulated workers")
      .Range(1, 4096);
  table->Add("task-ms", &settings->sleep.task_ms, "workers: length of a simulated task").Range(1, 1e6).Unit("ms");
  table->Add("tasks", &settings->sleep.tasks_a_worker, "workers: tasks of each worker").Range(1, 1e6);
  table->Add("model", &settings->tune.model, "finetune: Hugging Face folder; without it finetuning is not measured");
  table->Add("tune-tokens", &settings->tune.tokens, "finetune: tokens of a sequence").Range(2, 1e5);
  table->Add("tune-sequences", &settings->tune.sequences, "finetune: sequences of a query").Range(1, 1000);
  table->Add("repetitions", &settings->tune.repetitions, "interleaved repetitions; the fastest count").Range(1, 1000);
}

void CheckParts(const ClusterSettings& settings) {
  const std::vector<std::string> known = {"journal", "rounds", "workers", "finetune"};
  for (const std::string& part : settings.parts) {
    if (std::ranges::count(known, part) == 0)
      throw Error(Code::kUsage, "hullft bench cluster: unknown --part " + part, "journal, rounds, workers or finetune");
  }
  if (settings.Wants("finetune") && !settings.parts.empty() && settings.tune.model.empty())
    throw Error(Code::kUsage, "hullft bench cluster: --part finetune needs a model", "give --model FOLDER");
}

void Measure(BenchWorld& world, const ClusterSettings& settings, Figures* figures) {
  const ScratchFolder scratch(settings.scratch);
  if (settings.Wants("journal") && world.first()) {
    figures->Add({"journal.rows_per_second",
                  "journal, durable rows (group commit)",
                  JournalRowsPerSecond(scratch.path() / "results.jsonl", settings.journal_rows),
                  "rows/s",
                  2'000,
                  {}});
  }
  if (settings.Wants("rounds")) MeasureRounds(world, scratch.path(), settings.rounds, figures);
  if (settings.Wants("workers")) MeasureSleepScaling(world, scratch.path(), settings.sleep, figures);
  if (settings.Wants("finetune") && !settings.tune.model.empty() && world.capacity() >= 3)
    MeasureTuneScaling(world, scratch.path(), settings.tune, figures);
}

}  // namespace

int BenchCluster(const Arguments& args) {
  ClusterSettings settings;
  OptionTable table("hullft bench cluster",
                    "Measures what coordinator, journal, communicator and rounds cost, with the code that a run uses. "
                    "Under mpirun\nand srun the ranks of the job are the workers, otherwise threads of this process.");
  Bind(&settings, &table);
  table.Example("mpirun -n 3 hullft bench cluster --output cluster.json");
  if (table.Parse(args)) return 0;
  CheckParts(settings);
  Figures figures("cluster", Figures::MachineFacts(HULLFT_VERSION));
  BenchWorld world;
  figures.AddFact("ranks by", world.carrier());
  Measure(world, settings, &figures);
  world.Close();
  if (!world.first()) return 0;
  std::fputs(figures.Table().c_str(), stdout);
  if (!settings.output.empty()) WriteFileAtomic(settings.output, figures.Json());
  return 0;
}

}  // namespace hullft::coordinator
