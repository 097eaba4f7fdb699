#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "common/error.h"
#include "common/files.h"
#include "common/options.h"
#include "common/printable.h"
#include "common/progress.h"
#include "coordinator/commands/commands.h"
#include "coordinator/journal.h"
#include "coordinator/report.h"
#include "coordinator/run_status.h"

namespace hullft::coordinator {
namespace {
namespace fs = std::filesystem;

// What the state and its age mean. A run that says nothing for a minute is not there any more, or hangs.
std::string StateText(const RunStatus& status) {
  const double age = UnixSeconds() - status.updated;
  if (status.state == "paused" && age <= 60)
    return fmt::format("paused on {}: the disk is almost full, see --disk-reserve", status.host);
  if (status.state != "running" && status.state != "paused")
    return fmt::format("{} {} ago", status.state, FormatDuration(std::max(0.0, age)));
  if (age > 60) {
    return fmt::format("no word from rank 0 on {} for {}: it was killed, or it hangs, or the clocks differ",
                       status.host, FormatDuration(age));
  }
  return fmt::format("running on {}, {} ago", status.host, FormatDuration(std::max(0.0, age)));
}

void PrintRun(const fs::path& folder, bool json) {
  const fs::path path = folder / "status.json";
  if (!fs::exists(path)) {
    throw Error(Code::kUsage, fmt::format("{} does not exist", path.string()),
                "give the --output of a hullft run; it is written from the first query on");
  }
  const std::string text = ReadFile(path);
  const RunStatus status = ParseStatus(text, path);
  if (json) {
    std::fputs(text.c_str(), stdout);
    return;
  }
  fmt::print("{}: {}\n", folder.string(), PrintableLine(StateText(status)));
  for (const std::string& line : Screen(status.view, 100)) fmt::print("{}\n", line);
  const JournalContent content = ReadJournal(folder / "results.jsonl");
  if (!content.rows.empty()) fmt::print("\n{}", SettingsTable(content.rows));
}

}  // namespace

int StatusCommand(const Arguments& args) {
  std::string folder;
  bool json = false;
  OptionTable table(
      "hullft status",
      "How far a run is, from its folder: works on any machine that sees it, while it runs and afterwards.");
  table.Example("hullft status run1");
  table.AddPositional("folder", &folder, "the --output of a hullft run, or a sweep's output").Required();
  table.Add("json", &json, "status.json as it is").NotPartOfResult();
  if (table.Parse(args)) return 0;
  PrintRun(folder, json);
  return 0;
}

}  // namespace hullft::coordinator
