// hullft submit: writes the Slurm job script of a run and hands it to sbatch. The script is deploy/slurm/hullft.sbatch,
// embedded when hullft is built, with the numbers and options of this run put into it.
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <regex>

#include "common/error.h"
#include "common/files.h"
#include "common/options.h"
#include "coordinator/commands/commands.h"
#include "coordinator/commands/sbatch_template.h"

namespace hullft::coordinator {
namespace {

struct SubmitSettings {
  int nodes = 1;
  int tasks_per_node = 2;  // one shard and one worker
  int cpus_per_task = 1;
  int gpus_per_node = 0;
  int grace_seconds = 120;
  std::string time = "12:00:00";
  std::string name = "hullft", partition, account;
  std::string script;  // default: OUTPUT/hullft.sbatch
  bool print = false;
};

// A word as bash reads it back unchanged.
std::string Quoted(const std::string& word) {
  static const std::regex plain("[A-Za-z0-9_./:=,+%@-]+");
  if (std::regex_match(word, plain)) return word;
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

void SetDirective(std::string* script, const std::string& option, const std::string& value) {
  const std::regex line("#SBATCH --" + option + "=[^\n]*");
  const std::string directive = "#SBATCH --" + option + "=" + value;
  if (std::regex_search(*script, line)) {
    *script = std::regex_replace(*script, line, directive, std::regex_constants::format_first_only);
  } else {
    script->insert(script->find("#SBATCH --requeue"), directive + "\n");
  }
}

std::string OutputFolder(const Arguments& run_options) {
  for (size_t i = 0; i < run_options.size(); ++i) {
    if (run_options[i] == "--output" && i + 1 < run_options.size()) return run_options[i + 1];
    if (run_options[i].starts_with("--output=")) return run_options[i].substr(9);
  }
  throw Error(Code::kUsage, "hullft submit: the run's options have no --output",
              "hullft submit [options] -- the options of hullft run");
}

std::string JobScript(const SubmitSettings& settings, const Arguments& run_options) {
  std::string script = kSbatchTemplate;
  SetDirective(&script, "job-name", settings.name);
  SetDirective(&script, "nodes", std::to_string(settings.nodes));
  SetDirective(&script, "ntasks-per-node", std::to_string(settings.tasks_per_node));
  SetDirective(&script, "cpus-per-task", std::to_string(settings.cpus_per_task));
  SetDirective(&script, "time", settings.time);
  SetDirective(&script, "signal", fmt::format("USR1@{}", settings.grace_seconds));
  if (settings.gpus_per_node > 0) SetDirective(&script, "gpus-per-node", std::to_string(settings.gpus_per_node));
  if (!settings.partition.empty()) SetDirective(&script, "partition", settings.partition);
  if (!settings.account.empty()) SetDirective(&script, "account", settings.account);
  const std::string binary = std::filesystem::read_symlink("/proc/self/exe").string();
  const auto replace = [&](const std::string& from, const std::string& to) {
    const size_t at = script.find(from);
    HULLFT_CHECK(at != std::string::npos);
    script.replace(at, from.size(), to);
  };
  replace("hullft=${HULLFT:-hullft}\n", "hullft=${HULLFT:-" + Quoted(binary) + "}\n");
  std::vector<std::string> words;
  std::transform(run_options.begin(), run_options.end(), std::back_inserter(words), Quoted);
  replace("run_options=(\"$@\")\n", fmt::format("run_options=({})\n", fmt::join(words, " ")));
  return script;
}

void Submit(const std::string& path) {
  const std::string command = "sbatch " + Quoted(path);
  const int status = std::system(command.c_str());
  if (status == 0) return;
  throw Error(
      Code::kIo, fmt::format("'{}' failed", command),
      "is this a login node of a Slurm cluster? The script is written: submit it by hand, or look with --print");
}

}  // namespace

int SubmitCommand(const Arguments& args) {
  SubmitSettings settings;
  OptionTable table(
      "hullft submit",
      "Writes the Slurm job script of a run and submits it. The options of hullft run follow after `--`.");
  table.Add("nodes", &settings.nodes, "nodes of the job").Range(1, 100000);
  table.Add("tasks-per-node", &settings.tasks_per_node, "ranks on each node: the first is a shard, the others workers")
      .Range(1, 1024);
  table.Add("cpus-per-task", &settings.cpus_per_task, "cores of each rank").Range(1, 1024);
  table.Add("gpus-per-node", &settings.gpus_per_node, "GPUs of each node, one for each worker; 0: CPU workers")
      .Range(0, 64);
  table.Add("time", &settings.time, "time limit, as Slurm writes it");
  table.Add("grace", &settings.grace_seconds, "seconds before the limit at which the run stops in order")
      .Range(1, 86400)
      .Unit("s");
  table.Add("name", &settings.name, "name of the job");
  table.Add("partition", &settings.partition, "Slurm partition");
  table.Add("account", &settings.account, "Slurm account");
  table.Add("script", &settings.script,
            "where the script is written (default: hullft.sbatch in the run's output folder)");
  table.Add("print", &settings.print, "print the script and end: nothing is written or submitted");
  const auto separator = std::find(args.begin(), args.end(), "--");
  table.Example(
      "hullft submit --print --nodes 8 --time 12:00:00 -- --corpus index --queries test.jsonl --model MODEL --encoder "
      "ENCODER --output run1");
  if (table.Parse({args.begin(), separator})) return 0;
  const Arguments run_options(separator == args.end() ? separator : separator + 1, args.end());
  const std::string output = OutputFolder(run_options);
  const std::string script = JobScript(settings, run_options);
  if (settings.print) {
    std::fputs(script.c_str(), stdout);
    return 0;
  }
  if (settings.script.empty()) {
    MakeFolders(output);
    settings.script = output + "/hullft.sbatch";
  }
  WriteFileAtomic(settings.script, script);
  Submit(settings.script);
  return 0;
}

}  // namespace hullft::coordinator
