#include "coordinator/sweep/run_sweep.h"

#include <fmt/ranges.h>
#include <spawn.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "common/error.h"
#include "common/files.h"
#include "common/log.h"
#include "coordinator/journal.h"

extern char** environ;

namespace hullft::coordinator {
namespace {
namespace fs = std::filesystem;

struct JobFiles {
  fs::path config, grid, done;
};

JobFiles FilesOf(const Sweep& sweep, size_t job) {
  const std::string name = (fs::path(sweep.output) / fmt::format("job{}", job + 1)).string();
  return {name + ".config", name + ".grid", name + ".done"};
}

std::string ConfigOf(const Sweep& sweep, size_t job) {
  std::string text;
  for (const auto& [name, value] : sweep.jobs[job].settings) text += fmt::format("{} = {}\n", name, value);
  return text + fmt::format("grid = {}\nscore-cache = {}\noutput = {}\n", FilesOf(sweep, job).grid.string(),
                            (fs::path(sweep.output) / "untuned_scores").string(), sweep.output);
}

std::string GridOf(const Sweep& sweep, size_t job) {
  nlohmann::ordered_json json = {{"settings", nlohmann::ordered_json::object()}};
  for (const size_t r : sweep.jobs[job].runs) {
    const SweepRun& run = sweep.runs[r];
    nlohmann::ordered_json options = nlohmann::ordered_json::object();
    for (const auto& [name, value] : run.settings) {
      if (!sweep.jobs[job].settings.contains(name)) options[name] = value;
    }
    if (!run.marks.empty()) options["score-at"] = fmt::format("{}", fmt::join(run.marks, ","));
    json["settings"][run.name] = options;
  }
  return json.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::string SweepJson(const Sweep& sweep) {
  nlohmann::ordered_json json = {{"cells", nlohmann::ordered_json::array()}};
  for (const SweepCell& cell : sweep.cells) {
    nlohmann::ordered_json choice = nlohmann::ordered_json::object();
    for (const auto& [name, value] : cell.choice) choice[name] = value;
    json["cells"].push_back({{"choice", choice}, {"run", sweep.runs[cell.run].name}, {"n", cell.n}});
  }
  return json.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

// Whether an earlier start of the sweep saw this job end with all its rows, none of them failed.
bool Done(const JobFiles& files, const std::string& config, const std::string& grid) {
  const auto holds = [](const fs::path& path, const std::string& text) {
    return fs::exists(path) && ReadFile(path) == text;
  };
  return holds(files.config, config) && holds(files.grid, grid) && fs::exists(files.done);
}

// Whether every row of the job's settings is a finished one.
bool NoneFailed(const Sweep& sweep, size_t job) {
  std::set<std::string> names, failed;
  for (const size_t r : sweep.jobs[job].runs) names.insert(sweep.runs[r].name);
  ScanJournal(fs::path(sweep.output) / "results.jsonl", [&](Row&& row) {
    if (!names.contains(row.run)) return;
    if (row.ok) {
      failed.erase(row.key);
    } else {
      failed.insert(row.key);
    }
  });
  return failed.empty();
}

// The child's exit status; a signal's number plus 128.
int StartAndWait(const std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (const std::string& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
  pointers.push_back(nullptr);
  pid_t pid = -1;
  const int fault = ::posix_spawnp(&pid, pointers[0], nullptr, nullptr, pointers.data(), environ);
  if (fault != 0) throw Error(Code::kIo, fmt::format("cannot start {}: {}", words[0], std::strerror(fault)));
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) throw IoError("wait for", words[0]);
  }
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

std::vector<std::string> Words(const Sweep& sweep, const std::string& binary, const fs::path& config) {
  std::vector<std::string> words;
  std::istringstream launcher(sweep.launcher);
  for (std::string word; launcher >> word;) words.push_back(word);
  words.insert(words.end(), {binary, "run", "--config", config.string()});
  return words;
}

bool StoppedBySignal(int status) {
  return status == ExitStatus(Code::kInterrupted) || status == 128 + SIGINT || status == 128 + SIGTERM;
}

// What an earlier start of this sweep left must be of the same cells.
void ClaimFolder(const Sweep& sweep) {
  const fs::path path = fs::path(sweep.output) / "sweep.json";
  const std::string json = SweepJson(sweep);
  if (fs::exists(path) && ReadFile(path) != json) {
    throw Error(Code::kUsage, fmt::format("{} holds a sweep over another grid ({})", sweep.output, path.string()),
                "choose another output, or remove this file to go on with the runs that both have");
  }
  WriteFileAtomic(path, json);
}

}  // namespace

SweepOutcome RunSweep(const Sweep& sweep, const std::string& binary) {
  const fs::path output = sweep.output;
  MakeFolders(output);
  const FileLock lock(output / "sweep.lock");
  ClaimFolder(sweep);
  SweepOutcome outcome;
  for (size_t j = 0; j < sweep.jobs.size(); ++j) {
    const JobFiles files = FilesOf(sweep, j);
    const std::string config = ConfigOf(sweep, j), grid = GridOf(sweep, j);
    const auto settings = static_cast<int>(sweep.jobs[j].runs.size());
    if (Done(files, config, grid)) {
      outcome.done_before += settings;
      continue;
    }
    WriteFileAtomic(files.config, config);
    WriteFileAtomic(files.grid, grid);
    spdlog::info("job {} of {}: {} settings", j + 1, sweep.jobs.size(), settings);
    const int status = StartAndWait(Words(sweep, binary, files.config));
    if (StoppedBySignal(status)) {
      throw Error(Code::kInterrupted, fmt::format("stopped in job {} of {}", j + 1, sweep.jobs.size()),
                  "the same command goes on with the rest");
    }
    if (status != 0) {
      outcome.failed.push_back(fmt::format("job{} (exit status {})", j + 1, status));
      continue;
    }
    if (NoneFailed(sweep, j)) WriteFileAtomic(files.done, "");
    outcome.done += settings;
  }
  if (outcome.failed.empty()) outcome.savings = SavingsOf(sweep, RunsOf(sweep));
  return outcome;
}

std::vector<study::RunData> RunsOf(const Sweep& sweep) {
  std::map<std::string, study::RunData> by_name;
  for (study::RunData& run : study::LoadRuns(sweep.output, study::Definition::kRolling))
    by_name[run.name] = std::move(run);
  std::vector<study::RunData> runs;
  for (const SweepRun& run : sweep.runs) {
    const auto place = by_name.find(run.name);
    if (place == by_name.end()) throw DataError("{}: no query of {} is finished", sweep.output, run.name);
    runs.push_back(std::move(place->second));
  }
  return runs;
}

}  // namespace hullft::coordinator
