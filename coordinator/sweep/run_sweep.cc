#include "coordinator/sweep/run_sweep.h"

#include <fmt/ranges.h>
#include <spawn.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "common/error.h"
#include "common/files.h"
#include "common/log.h"

extern char** environ;

namespace hullft::coordinator {
namespace {
namespace fs = std::filesystem;

std::string ConfigOf(const Sweep& sweep, const SweepRun& run) {
  std::string text;
  for (const auto& [name, value] : run.settings) text += fmt::format("{} = {}\n", name, value);
  if (!run.marks.empty()) text += fmt::format("score-at = {}\n", fmt::join(run.marks, ","));
  const fs::path output = sweep.output;
  return text + fmt::format("score-cache = {}\noutput = {}\n", (output / "untuned_scores").string(),
                            (output / run.name).string());
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

// Whether an earlier start of the sweep saw this run end with all its rows, none of them failed.
bool Done(const fs::path& folder, const std::string& config) {
  const fs::path stored = folder.string() + ".config";
  return fs::exists(stored) && ReadFile(stored) == config && fs::exists(folder / "done");
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
  const FileLock lock(output / "lock");
  ClaimFolder(sweep);
  SweepOutcome outcome;
  for (size_t r = 0; r < sweep.runs.size(); ++r) {
    const SweepRun& run = sweep.runs[r];
    const fs::path folder = output / run.name, config = output / (run.name + ".config");
    const std::string text = ConfigOf(sweep, run);
    if (Done(folder, text)) {
      ++outcome.done_before;
      continue;
    }
    WriteFileAtomic(config, text);
    spdlog::info("run {} of {}: {}", r + 1, sweep.runs.size(), run.name);
    const int status = StartAndWait(Words(sweep, binary, config));
    if (StoppedBySignal(status)) {
      throw Error(Code::kInterrupted, fmt::format("stopped in run {} of {} ({})", r + 1, sweep.runs.size(), run.name),
                  "the same command goes on with the rest");
    }
    if (status != 0) {
      outcome.failed.push_back(fmt::format("{} (exit status {})", run.name, status));
      continue;
    }
    if (study::LoadRun(folder, study::Definition::kRolling).failures.empty()) WriteFileAtomic(folder / "done", "");
    ++outcome.done;
  }
  if (!outcome.failed.empty()) return outcome;
  std::vector<study::RunData> runs;
  for (const SweepRun& run : sweep.runs) runs.push_back(study::LoadRun(output / run.name, study::Definition::kRolling));
  outcome.savings = SavingsOf(sweep, runs);
  return outcome;
}

}  // namespace hullft::coordinator
