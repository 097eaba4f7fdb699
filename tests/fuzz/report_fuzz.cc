// What is said about a run, from its folder: the input's parts are provenance.json and results.jsonl.
#include "coordinator/journal.h"
#include "coordinator/page/page.h"
#include "coordinator/report.h"
#include "coordinator/study/figures.h"
#include "coordinator/study/table.h"
#include "tests/fuzz/targets.h"

namespace hullft::fuzz {
namespace {

// Nothing that a terminal acts on.
void RequireShowable(const std::string& text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    Require((byte >= ' ' && byte != 0x7f) || c == '\n', "no control character is shown");
  }
}

}  // namespace

void Report(std::string_view input) {
  const auto folder = InFile("run/provenance.json", Part(input, 0)).parent_path();
  const auto journal = InFile("run/results.jsonl", Part(input, 1));
  Accepted([&] {
    const auto rows = coordinator::LatestRows(coordinator::ReadJournal(journal).rows);
    if (rows.empty()) return;
    const coordinator::Report report = coordinator::MakeReport(rows);
    RequireShowable(coordinator::ResultsTable(report) + coordinator::TimingsTable(report));
    RequireShowable(coordinator::SettingsTable(rows));
    coordinator::ReportJson(report);
    coordinator::ReportCsv(report);
  });
  Accepted([&] {
    const auto definition = study::Definition::kRolling;
    const study::Study study = study::MakeStudy(study::LoadRuns(folder, definition), definition);
    const study::Figures figures = study::MakeFigures(study, 0, 1);
    const study::Table table = study::HeadlineTable(study, figures);
    RequireShowable(study::PlainText(table) + study::Markdown(table) + study::Latex(table));
    study::Csv(study::CellTable(study, figures));
    study::FiguresJson(study, figures);
    page::ReportPage(study, figures);
  });
}

}  // namespace hullft::fuzz
