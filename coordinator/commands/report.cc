#include "coordinator/report.h"

#include <cstdio>

#include "common/error.h"
#include "common/files.h"
#include "common/options.h"
#include "coordinator/commands/commands.h"
#include "coordinator/journal.h"

namespace hullft::coordinator {

int ReportCommand(const Arguments& args) {
  std::string folder;
  bool json = false;
  OptionTable table("hullft report",
                    "Prints the table of a run, made from its journal; the run may still be going on.");
  table.AddPositional("folder", &folder, "the --output of a hullft run").Required();
  table.Add("json", &json, "as JSON, as in summary.json").NotPartOfResult();
  if (table.Parse(args)) return 0;
  const std::filesystem::path journal = std::filesystem::path(folder) / "results.jsonl";
  if (!std::filesystem::exists(journal)) {
    throw Error(Code::kUsage, fmt::format("{} does not exist", journal.string()), "give the --output of a hullft run");
  }
  const JournalContent content = ReadJournal(journal);
  if (content.rows.empty()) throw DataError("{} holds no row yet", journal.string());
  const Report report = MakeReport(content.rows);
  std::fputs(json ? ReportJson(report).c_str() : (ResultsTable(report) + "\n" + TimingsTable(report)).c_str(), stdout);
  return 0;
}

}  // namespace hullft::coordinator
