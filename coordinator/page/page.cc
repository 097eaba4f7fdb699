#include "coordinator/page/page.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/xml.h"
#include "coordinator/page/charts.h"
#include "coordinator/page/html.h"

namespace hullft::page {
namespace {
using study::Figures;
using study::HeadlineEntry;
using study::RunData;
using study::Study;
using study::SubsetFigures;
using study::Table;

std::string Title(const Study& study) {
  if (study.runs.size() == 1) return "hullft: " + study.runs.front().name;
  return fmt::format("hullft: {} runs", study.runs.size());
}

std::string Count(size_t n, const char* one, const char* more) {
  return fmt::format("{} {}", n, n == 1 ? one : more);
}

std::string Opening(const Study& study, const Figures& figures) {
  const SubsetFigures& all = figures.subsets.back();
  const char* definition = study.definition == study::Definition::kRolling
                               ? "bpb: rolling windows over the whole document, every token scored once"
                               : "bpb_first_window: the first window only, over the bytes of the whole document";
  std::string html = "<h1>" + XmlEscaped(Title(study)) + "</h1>\n<p>";
  html += fmt::format(
      "{}, {}. Bits per byte ({}; windows of {} tokens) before and after finetuning on what each method chose. "
      "Per cent of untuned is 100 x mean after / mean before: lower is better.</p>\n",
      Count(all.queries, "query", "queries"), Count(study.cells.size(), "setting", "settings"), definition,
      study.runs.front().window);
  return html +
         "<nav><a href=\"#headline\">Table</a><a href=\"#quality\">Quality</a><a href=\"#curves\">N</a>"
         "<a href=\"#queries\">Queries</a><a href=\"#reconstruction\">Reconstruction</a>"
         "<a href=\"#histograms\">Multiplicities</a><a href=\"#stages\">Times</a><a href=\"#workers\">Workers</a>"
         "<a href=\"#provenance\">Provenance</a></nav>\n";
}

std::string Warnings(const Figures& figures) {
  if (figures.warnings.empty()) return "";
  std::string html = "<h2>Before you believe it</h2>\n<ul class=\"warnings\">\n";
  for (const std::string& warning : figures.warnings) html += "<li>" + XmlEscaped(warning) + "</li>\n";
  return html + "</ul>\n";
}

std::string PText(double p) {
  return p < 0.001 ? "< 0.001" : fmt::format("{:.3f}", p);
}

Table DifferenceTable(const Study& study, const Figures& figures) {
  Table table{
      fmt::format(
          "Percentage points above the best of the row, with 95% paired bootstrap intervals ({} draws, seed {}) "
          "and two-sided p-values, corrected by Holm within the row. The best was chosen by looking, so p "
          "against it is a little too small.",
          study::kDraws, study::kSeed),
      {"subset"},
      {}};
  for (const study::SeriesFigures& series : figures.series)
    table.header.push_back(CellName(study, study.cells[series.cell]));
  for (const SubsetFigures& subset : figures.subsets) {
    if (subset.headline.empty()) continue;
    std::vector<study::TableCell> row = {subset.subset};
    for (const HeadlineEntry& entry : subset.headline) {
      if (entry.best) {
        row.emplace_back("best", true);
      } else {
        row.emplace_back(
            fmt::format("+{:.2f}", entry.difference), false,
            fmt::format("[{:.2f}, {:.2f}] p = {}", entry.interval.low, entry.interval.high, PText(entry.p)));
      }
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

std::string Headline(const Study& study, const Figures& figures) {
  std::string html = "<section id=\"headline\"><h2>BPB after finetuning, per cent of untuned</h2>\n" +
                     TableHtml(HeadlineTable(study, figures));
  if (figures.series.size() > 1) html += TableHtml(DifferenceTable(study, figures));
  return html + "</section>\n";
}

std::string Provenance(const Study& study) {
  Table table{"What the runs share, and in what they differ", {"what"}, {}};
  std::map<std::string, std::vector<std::string>> values;  // name: of each run
  for (size_t r = 0; r < study.runs.size(); ++r) {
    const RunData& run = study.runs[r];
    table.header.push_back(run.name);
    const auto put = [&](const std::string& name, const std::string& value) {
      values[name].resize(study.runs.size());
      values[name][r] = value;
    };
    for (const auto& [name, value] : run.provenance) put(name, value);
    for (const auto& [name, value] : run.identity) put(name.starts_with("--") ? name : name + " (digest)", value);
    put("folder", run.folder.string());
    put("finished, failed", fmt::format("{}, {}", run.samples.size(), run.failures.size()));
  }
  for (const auto& [name, of_runs] : values) {
    std::vector<study::TableCell> row = {name};
    const bool same = std::ranges::all_of(of_runs, [&](const std::string& value) { return value == of_runs.front(); });
    for (size_t r = 0; r < of_runs.size(); ++r) row.emplace_back(same && r > 0 ? "=" : of_runs[r]);
    table.rows.push_back(std::move(row));
  }
  return "<section id=\"provenance\" class=\"provenance\"><h2>Provenance</h2>\n" + TableHtml(table) +
         "<p class=\"soft\">Made from the journals alone. The numbers of this page, in full, stand at its end as JSON "
         "(element <code>figures</code>).</p></section>\n";
}

}  // namespace

std::string ReportPage(const Study& study, const Figures& figures) {
  std::string body = Opening(study, figures) + Warnings(figures) + Headline(study, figures);
  for (const auto& chart :
       {QualityChart, CurveChart, BeforeAfterChart, CorrelationChart, HistogramChart, StageChart, TimelineChart})
    body += FigureHtml(chart(study, figures));
  body += Provenance(study);
  return DocumentHtml(Title(study), body, FiguresJson(study, figures));
}

}  // namespace hullft::page
