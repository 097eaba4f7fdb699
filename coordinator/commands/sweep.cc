#include <fmt/ranges.h>

#include <cstdio>
#include <filesystem>

#include "common/error.h"
#include "common/files.h"
#include "common/log.h"
#include "common/options.h"
#include "common/parallel.h"
#include "common/progress.h"
#include "coordinator/commands/commands.h"
#include "coordinator/page/page.h"
#include "coordinator/study/table.h"
#include "coordinator/sweep/run_sweep.h"

namespace hullft::coordinator {
namespace {

// --config is TOML here, and --print-config prints the grid: both are taken out before the table reads the rest.
struct SweepArguments {
  Arguments rest;
  std::string config;
  bool print = false;
};

SweepArguments TakeOwn(const Arguments& args) {
  SweepArguments own;
  for (size_t i = 0; i < args.size(); ++i) {
    if (args[i] == "--config" && i + 1 < args.size()) {
      own.config = args[++i];
    } else if (args[i].starts_with("--config=")) {
      own.config = args[i].substr(9);
    } else if (args[i] == "--print-config") {
      own.print = true;
    } else {
      own.rest.push_back(args[i]);
    }
  }
  return own;
}

void PrintPlan(const Sweep& sweep) {
  fmt::print("{} cells from {} settings, in {} run{}, into {}\n", sweep.cells.size(), sweep.runs.size(),
             sweep.jobs.size(), sweep.jobs.size() == 1 ? "" : "s", sweep.output);
  for (const SweepRun& run : sweep.runs) {
    fmt::print("  {}: N = {}{}\n", run.name, run.n,
               run.marks.empty() ? "" : fmt::format(", scored at {}", fmt::join(run.marks, ", ")));
  }
}

void PrintSavings(const Sweep& sweep, const Savings& savings) {
  fmt::print(
      "\n{} cells from {} settings: {} of work in place of {} one by one ({:.0f}%, by the rows' own times, without "
      "the\n"
      "loading of models: {} in place of {} times); of {} embeddings, pools and untuned scores each, {} pools and {}\n"
      "scores were made, the others shared\n",
      sweep.cells.size(), sweep.runs.size(), FormatDuration(savings.spent_ms / 1000),
      FormatDuration(savings.alone_ms / 1000), 100 * savings.spent_ms / savings.alone_ms, sweep.jobs.size(),
      sweep.cells.size(), savings.untuned_scores, savings.pools, savings.untuned_computed);
}

void Report(const Sweep& sweep) {
  const study::Study study = study::MakeStudy(RunsOf(sweep), study::Definition::kRolling);
  const study::Figures figures = MakeFigures(study, 0, UsableCores());
  const std::filesystem::path page = std::filesystem::path(sweep.output) / "report.html";
  WriteFileAtomic(page, page::ReportPage(study, figures));
  std::fputs(PlainText(HeadlineTable(study, figures)).c_str(), stdout);
  spdlog::info("figures in {}", page.string());
}

}  // namespace

int SweepCommand(const Arguments& args) {
  std::vector<std::string> sets;
  bool plan_only = false;
  OptionTable table(
      "hullft sweep",
      "Runs hullft over a grid of settings. --config FILE is TOML whose keys are the options of hullft run; a\n"
      "list of values is a dimension of the grid. Models are loaded, queries embedded, pools made and untuned scores\n"
      "computed once; where the method allows, one tuning serves all N. The same command goes on where a stopped "
      "sweep\n"
      "was.");
  table.Example("hullft sweep --config experiments/demo.toml --set limit=10");
  table.Add("set", &sets, "key=value in place of the file's, e.g. n=[1,5] (repeatable)");
  table.Add("plan", &plan_only, "print the runs and end");
  SweepArguments own = TakeOwn(args);
  if (table.Parse(own.rest)) return 0;
  if (own.config.empty())
    throw Error(Code::kUsage, "hullft sweep: missing --config: the TOML file of the sweep",
                "e.g. experiments/demo.toml");
  const std::string toml = ReadFileOrStream(own.config);
  if (own.print) {
    std::fputs(PrintSweep(toml, own.config, sets).c_str(), stdout);
    return 0;
  }
  const Sweep sweep = ReadSweep(toml, own.config, sets);
  PrintPlan(sweep);
  if (plan_only) return 0;
  std::fflush(stdout);  // the runs print too. ignored: the stream keeps the fault, and main asks it
  const SweepOutcome outcome = RunSweep(sweep, std::filesystem::read_symlink("/proc/self/exe").string());
  if (!outcome.failed.empty()) {
    throw Error(Code::kData,
                fmt::format("{} of {} runs failed: {}", outcome.failed.size(), sweep.jobs.size(),
                            fmt::join(outcome.failed, ", ")),
                "their messages are above; the same command starts them again");
  }
  Report(sweep);
  PrintSavings(sweep, outcome.savings);
  return 0;
}

}  // namespace hullft::coordinator
