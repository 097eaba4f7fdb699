// hullft verify: rows of a run computed again from scratch and compared with the journal.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <random>

#include "common/descriptor.h"
#include "common/error.h"
#include "common/files.h"
#include "common/json_read.h"
#include "common/log.h"
#include "common/options.h"
#include "common/parallel.h"
#include "common/printable.h"
#include "coordinator/bench/measure.h"
#include "coordinator/commands/commands.h"
#include "coordinator/journal.h"
#include "coordinator/row_differences.h"
#include "coordinator/run_grid.h"
#include "coordinator/run_rank.h"

namespace hullft::coordinator {
namespace {
namespace fs = std::filesystem;

struct VerifySettings {
  std::string run, scratch;
  int rows = 5, threads = 0;
  int64_t seed = 0;
  double tolerance = 1e-4;
};

// So many finished rows of these settings, drawn by the seed; in the order of their queries.
std::vector<Row> Sample(const fs::path& journal, const VerifySettings& settings, const std::vector<RunSetting>& grid) {
  std::vector<Row> rows = ReadJournal(journal).rows;
  const size_t others = std::erase_if(
      rows, [&](const Row& row) { return std::ranges::find(grid, row.run, &RunSetting::name) == grid.end(); });
  rows = LatestRows(rows);
  std::erase_if(rows, [](const Row& row) { return !row.ok; });
  if (rows.empty()) throw DataError("{} holds no finished row", journal.string());
  if (others > 0) spdlog::warn("{} rows are of settings of another job than the last, and are not looked at", others);
  std::vector<Row> sample;
  std::mt19937_64 random(static_cast<uint64_t>(settings.seed));
  std::ranges::sample(rows, std::back_inserter(sample), settings.rows, random);
  return sample;
}

nlohmann::json ReadProvenance(const fs::path& run) {
  const fs::path path = run / "provenance.json";
  nlohmann::json provenance = ParseJson(ReadFile(path), path.string());
  if (!provenance.is_object()) throw DataError("{}: not a JSON object", path.string());
  return provenance;
}

int ThreadsOf(const nlohmann::json& provenance, const fs::path& run) {
  constexpr const char* kField = "threads_per_worker";
  if (!provenance.contains(kField)) return UsableCores();
  const nlohmann::json& threads = provenance[kField];
  constexpr int kMost = 4096;
  if (!threads.is_number_integer() || threads < 1 || threads > kMost)
    throw DataError("{}: field {} is {}, not from 1 to {}", (run / "provenance.json").string(), kField, threads.dump(),
                    kMost);
  return threads.get<int>();
}

// The run's own settings, with a folder that holds nothing, no cached score and no copies, in this process alone.
RunPlan PlanOf(const VerifySettings& verify, const fs::path& output) {
  RunPlan plan;
  OptionTable table("hullft verify", "");
  RunSettings& settings = plan.settings;
  settings.Bind(&table);
  const fs::path config = fs::path(verify.run) / "config";
  { const Descriptor is_a_file(OpenInput(config)); }  // as --config it may be a stream
  const std::vector<std::string> words = {"--config", config.string(), "--output", output.string(), "--quiet"};
  table.Parse(words);
  settings.Finish();
  if (!settings.grid_file.empty()) settings.grid = ReadRunGrid(settings.grid_file, words);
  settings.score_cache = settings.stage = settings.layout = "";
  settings.workers = 0;
  settings.limit = 0;
  settings.disk_reserve = 0;
  settings.http = -1;
  settings.paranoid = true;
  plan.options = IdentityOfOptions(table);
  plan.config = table.ConfigText();
  plan.version = HULLFT_VERSION;
  return plan;
}

std::string NameOf(const Row& row) {
  return row.run.empty() ? fmt::format("query {}", row.query)
                         : fmt::format("query {}, {}", row.query, PrintableLine(row.run));
}

// Prints a line for each row; returns how many differ.
int Compare(const std::vector<Row>& sample, const std::vector<Row>& again, double tolerance) {
  int wrong = 0;
  for (const Row& row : sample) {
    const auto other = std::ranges::find_if(
        again, [&](const Row& candidate) { return candidate.key == row.key && candidate.run == row.run; });
    if (other == again.end()) throw DataError("{} was not computed again: its text has changed", NameOf(row));
    const RowDifferences differences = Differences(row, *other, tolerance);
    if (!other->ok) {
      fmt::print("{}: failed now: {}\n", NameOf(row), PrintableLine(other->reason));
    } else if (differences.fields.empty()) {
      fmt::print("{}: {}\n", NameOf(row),
                 differences.scores == 0
                     ? "the same bits"
                     : fmt::format("the same but for rounding, {:.1e} of a score", differences.scores));
      continue;
    }
    ++wrong;
    for (const std::string& field : differences.fields) fmt::print("{}: {}\n", NameOf(row), PrintableLine(field));
  }
  return wrong;
}

}  // namespace

int VerifyCommand(const Arguments& args) {
  VerifySettings settings;
  OptionTable table(
      "hullft verify",
      "Computes some rows of a run again, from the corpus, the models and the queries that it names, and\n"
      "compares them with what its journal says. Ends with 1 when one differs.");
  table.Example("hullft verify run1 --rows 10");
  table.AddPositional("run", &settings.run, "the --output of a hullft run").Required();
  table.Add("rows", &settings.rows, "rows to compute again, drawn at random").Range(1, 1e9);
  table.Add("seed", &settings.seed, "of the draw").Range(0, 1e15);
  table
      .Add("tolerance", &settings.tolerance,
           "relative difference of scores that counts as rounding; 0: the same bits. All else must be the same bits")
      .Range(0, 1);
  table.Add("threads", &settings.threads, "0: as many as a worker of the run had").Range(0, 4096);
  table.Add("scratch", &settings.scratch, "folder for a temporary run folder; without it the run's own");
  if (table.Parse(args)) return 0;

  const fs::path run = settings.run;
  const nlohmann::json provenance = ReadProvenance(run);
  const ScratchFolder scratch(settings.scratch.empty() ? run : fs::path(settings.scratch));
  const fs::path output = scratch.path() / "run";
  RunPlan plan = PlanOf(settings, output);
  const std::vector<Row> sample = Sample(run / "results.jsonl", settings, plan.settings.Grid());
  for (const Row& row : sample) plan.settings.only.emplace(row.query, row.run);
  // The new run refuses to be another than this: another corpus, model or setting is named.
  MakeFolders(output);
  WriteFileAtomic(output / "provenance.json", provenance.dump());
  spdlog::set_level(spdlog::level::warn);
  RankContext context;
  context.threads = settings.threads > 0 ? settings.threads : ThreadsOf(provenance, run);
  RunInProcess(plan, context,
               [](const RunOutcome&) { throw Error(Code::kInternal, "the worker of this process does not end"); });
  const int wrong = Compare(sample, LatestRows(ReadJournal(output / "results.jsonl").rows), settings.tolerance);
  fmt::print("{} of {} rows are as they were written\n", sample.size() - static_cast<size_t>(wrong), sample.size());
  return wrong == 0 ? 0 : 1;
}

}  // namespace hullft::coordinator
