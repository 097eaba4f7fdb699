// hullft bench cluster: what coordinator, journal and communicator cost, with the code that a run uses.
#include <cstdio>

#include "common/figures.h"
#include "common/files.h"
#include "common/options.h"
#include "coordinator/bench/journal_rate.h"
#include "coordinator/bench/measure.h"
#include "coordinator/bench/subjects.h"

namespace hullft::coordinator {
namespace {

struct ClusterSettings {
  std::string scratch = ".";
  std::string output;
  int64_t journal_rows = 20'000;
};

void MeasureJournal(const ClusterSettings& settings, const ScratchFolder& scratch, Figures* figures) {
  figures->Add({"journal.rows_per_second",
                "journal, durable rows (group commit)",
                JournalRowsPerSecond(scratch.path() / "results.jsonl", settings.journal_rows),
                "rows/s",
                2'000,
                {}});
}

}  // namespace

int BenchCluster(const Arguments& args) {
  ClusterSettings settings;
  OptionTable table("hullft bench cluster",
                    "Measures what coordinator, journal and communicator cost, with the code that a run uses.");
  table.Add("scratch", &settings.scratch, "folder for temporary files, on the disk that will hold run folders");
  table.Add("journal-rows", &settings.journal_rows, "rows that the journal is measured with").Range(1, 1e9);
  table.Add("output", &settings.output, "file for the figures as JSON");
  if (table.Parse(args)) return 0;
  const ScratchFolder scratch(settings.scratch);
  Figures figures("cluster", Figures::MachineFacts(HULLFT_VERSION));
  MeasureJournal(settings, scratch, &figures);
  std::fputs(figures.Table().c_str(), stdout);
  if (!settings.output.empty()) WriteFileAtomic(settings.output, figures.Json());
  return 0;
}

}  // namespace hullft::coordinator
