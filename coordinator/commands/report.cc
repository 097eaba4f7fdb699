#include "coordinator/report.h"

#include <algorithm>
#include <cstdio>

#include "common/error.h"
#include "common/files.h"
#include "common/log.h"
#include "common/options.h"
#include "common/parallel.h"
#include "common/printable.h"
#include "common/progress.h"
#include "coordinator/commands/commands.h"
#include "coordinator/journal.h"
#include "coordinator/page/page.h"
#include "coordinator/run_status.h"
#include "coordinator/study/run_data.h"
#include "coordinator/study/table.h"
#include "coordinator/study/tensorboard.h"

namespace hullft::coordinator {
namespace {
namespace fs = std::filesystem;

struct ReportSettings {
  std::vector<std::string> folders;
  std::string out, table;  // table: "" for the tables of one run
  std::string tensorboard;
  bool json = false;
  int n = 0;
  std::string definition = "bpb";
};

// The folders of runs: those given, or where one is no run, the runs in it (a sweep's folder).
std::vector<fs::path> RunFolders(const std::vector<std::string>& given) {
  std::vector<fs::path> folders;
  for (const std::string& folder : given) {
    std::vector<fs::path> inside;
    if (!study::IsRun(folder) && fs::is_directory(folder)) {
      for (const auto& entry : fs::directory_iterator(folder)) {
        if (fs::exists(entry.path() / "results.jsonl")) inside.push_back(entry.path());
      }
    }
    std::ranges::sort(inside);
    if (inside.empty()) inside.emplace_back(folder);  // its error will name it
    folders.insert(folders.end(), inside.begin(), inside.end());
  }
  return folders;
}

void PrintRun(const fs::path& folder, bool json) {
  const fs::path journal = folder / "results.jsonl";
  if (!fs::exists(journal)) {
    throw Error(Code::kUsage, fmt::format("{} does not exist", journal.string()), "give the --output of a hullft run");
  }
  const JournalContent content = ReadJournal(journal);
  if (content.rows.empty()) throw DataError("{} holds no row yet", journal.string());
  const Report report = MakeReport(content.rows);
  if (json) {
    std::fputs(ReportJson(report).c_str(), stdout);
    return;
  }
  if (fs::exists(folder / "provenance.json")) {
    const auto fields = study::ReadProvenance(folder).fields;
    if (const auto search = fields.find("search"); search != fields.end())
      std::printf("index: %s\n\n", PrintableLine(search->second).c_str());
  }
  std::fputs((ResultsTable(report) + "\n" + TimingsTable(report)).c_str(), stdout);
}

std::string TableText(const std::string& form, const study::Study& study, const study::Figures& figures) {
  if (form == "json") return FiguresJson(study, figures);
  if (form == "csv") return Csv(CellTable(study, figures));
  const study::Table table = HeadlineTable(study, figures);
  if (form == "markdown") return Markdown(table);
  if (form == "latex") return Latex(table);
  std::string text = PlainText(table);
  for (const std::string& warning : figures.warnings) text += "note: " + PrintableLine(warning) + "\n";
  return text;
}

void ReportStudy(const std::vector<fs::path>& folders, const ReportSettings& settings) {
  const auto definition = settings.definition == "bpb" ? study::Definition::kRolling : study::Definition::kFirstWindow;
  std::vector<study::RunData> runs;
  for (const fs::path& folder : folders)
    std::ranges::move(study::LoadRuns(folder, definition), std::back_inserter(runs));
  const study::Study study = study::MakeStudy(std::move(runs), definition);
  const study::Figures figures = MakeFigures(study, settings.n, UsableCores());
  if (!settings.out.empty()) {
    const std::string page = page::ReportPage(study, figures);
    WriteFileAtomic(settings.out, page);
    spdlog::info("{} of {} in {}", FormatBytes(static_cast<double>(page.size())),
                 folders.size() == 1 ? "1 run" : fmt::format("{} runs", folders.size()), settings.out);
  }
  if (!settings.tensorboard.empty()) {
    WriteEventFiles(settings.tensorboard, study, figures, UnixSeconds());
    spdlog::info("event files of {} series in {}", study.series.size(), settings.tensorboard);
  }
  if (!settings.table.empty()) {
    std::fputs(TableText(settings.table, study, figures).c_str(), stdout);
  } else if (settings.out.empty() && settings.tensorboard.empty()) {
    std::fputs(TableText(settings.json ? "json" : "text", study, figures).c_str(), stdout);
  }
}

}  // namespace

int ReportCommand(const Arguments& args) {
  ReportSettings settings;
  OptionTable table(
      "hullft report",
      "Prints the table of a run, made from its journal; the run may still be going on. Several runs are\n"
      "compared with each other, and --out makes a page with figures of one run or several.");
  table.Example("hullft report runs/hullft runs/sift runs/knn --out report.html");
  table
      .AddPositional("folder", &settings.folders,
                     "the --output of a hullft run, or a folder that holds several (a sweep's)")
      .Required();
  table.Add("out", &settings.out, "write the page here: one HTML file that opens offline").NotPartOfResult();
  table
      .Add("tensorboard", &settings.tensorboard,
           "write TensorBoard event files into this folder: a folder a series, N as the step")
      .NotPartOfResult();
  table
      .Add("table", &settings.table,
           "print BPB as per cent of untuned by subset and setting; csv and json: every setting's numbers in full")
      .OneOf({"", "text", "csv", "json", "latex", "markdown"});
  table.Add("json", &settings.json, "of one run: as in summary.json; of several: as --table json").NotPartOfResult();
  table.Add("n", &settings.n, "N of the table by subset and method; 0: the largest that all settings have")
      .Range(0, 1e6);
  table
      .Add("definition", &settings.definition,
           "of bits per byte: bpb (rolling windows) or bpb_first_window (as the paper's code)")
      .OneOf({"bpb", "bpb_first_window"});
  if (table.Parse(args)) return 0;
  const std::vector<fs::path> folders = RunFolders(settings.folders);
  const bool plain = settings.out.empty() && settings.table.empty() && settings.tensorboard.empty();
  const bool of_one =
      plain && folders.size() == 1 && fs::exists(folders.front() / "results.jsonl") && !study::IsGrid(folders.front());
  if (of_one && settings.n == 0 && settings.definition == "bpb") {
    PrintRun(folders.front(), settings.json);
  } else {
    ReportStudy(folders, settings);
  }
  return 0;
}

}  // namespace hullft::coordinator
