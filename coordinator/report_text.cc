// A report as text: tables for readers, JSON and CSV for programs.
#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "common/error.h"
#include "common/printable.h"
#include "coordinator/report.h"
#include "coordinator/text_line.h"

namespace hullft::coordinator {
namespace {

std::string GuardLine(const GuardSummary& guard) {
  if (guard.mode == "off") return "leakage guard: off, as in the paper\n";
  std::string text = fmt::format("leakage guard: {}, threshold {}: ", PrintableLine(guard.mode), guard.threshold);
  text += guard.mode == "drop"
              ? fmt::format("{} candidates of {} queries left out\n", guard.dropped, guard.queries)
              : fmt::format("{} candidates of {} queries marked, {} queries trained on {} copies of such\n",
                            guard.marked, guard.queries, guard.queries_trained, guard.trained);
  return text;
}

std::vector<Summary> Lines(const Report& report) {
  std::vector<Summary> lines = report.subsets;
  lines.push_back(report.all);
  return lines;
}

// For tables on a terminal: names come from the query file.
std::vector<Summary> ShownLines(std::vector<Summary> lines) {
  constexpr size_t kNameBytes = 60;
  for (Summary& line : lines) line.subset = Beginning(line.subset, kNameBytes);
  return lines;
}

size_t NameWidth(const std::vector<Summary>& lines) {
  size_t width = 6;
  for (const Summary& line : lines) width = std::max(width, line.subset.size());
  return width;
}

std::string CsvField(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::string ResultsHeader(const std::string& name, size_t width) {
  return fmt::format("{:<{}}  {:>7}  {:>6}  {:>10}  {:>9}  {:>7}  {:>16}\n", name, width, "queries", "failed",
                     "BPB before", "BPB after", "percent", "95% interval");
}

std::string ResultsLine(const Summary& line, size_t width) {
  std::string text = fmt::format("{:<{}}  {:>7}  {:>6}", line.subset, width, line.queries, line.failed);
  if (line.queries > 0) {
    text += fmt::format("  {:>10.4f}  {:>9.4f}  {:>7.2f}  {:>16}", line.bpb_before, line.bpb_after, line.percent,
                        fmt::format("{:.2f} - {:.2f}", line.percent_low, line.percent_high));
  }
  return text + "\n";
}

}  // namespace

std::string ResultsTable(const Report& report) {
  const std::vector<Summary> lines = ShownLines(Lines(report));
  const size_t width = NameWidth(lines);
  std::string text;
  if (report.all.coverage < 1) {
    text += fmt::format("PARTIAL: only {:.2f}% of the corpus answered (the lowest of the rows)\n",
                        100 * report.all.coverage);
  }
  text += GuardLine(report.guard);
  text += ResultsHeader("subset", width);
  for (const Summary& line : lines) text += ResultsLine(line, width);
  if (report.marks.empty()) return text;
  text += fmt::format("\n{:>6}  {:>7}  {:>9}  {:>7}  {:>10}\n", "N", "queries", "BPB after", "percent", "gradients");
  for (const MarkSummary& mark : report.marks) {
    text += fmt::format("{:>6}  {:>7}  {:>9.4f}  {:>7.2f}  {:>10.2f}\n", mark.n, mark.queries, mark.bpb_after,
                        mark.percent, mark.gradients);
  }
  return text;
}

std::string SettingsTable(const std::vector<Row>& rows) {
  std::map<std::string, std::vector<Row>> by_run;
  for (const Row& row : rows) by_run[row.run].push_back(row);
  if (by_run.size() == 1 && by_run.begin()->first.empty()) return ResultsTable(MakeReport(rows));
  std::vector<Summary> lines;
  for (const auto& [run, of_run] : by_run) {
    lines.push_back(MakeReport(of_run).all);
    lines.back().subset = run;
  }
  lines = ShownLines(std::move(lines));
  const size_t width = NameWidth(lines);
  std::string text = ResultsHeader("setting", width);
  for (const Summary& line : lines) text += ResultsLine(line, width);
  return text;
}

std::string TimingsTable(const Report& report) {
  const std::vector<Summary> lines = ShownLines(Lines(report));
  const size_t width = NameWidth(lines);
  std::string text =
      fmt::format("{:<{}}  {:>8}  {:>8}  {:>8}  {:>8}  {:>12}  {:>9}  {:>11}  {:>9}\n", "ms a query", width, "embed",
                  "search", "select", "fetch", "score before", "tune", "score after", "total");
  for (const Summary& line : lines) {
    if (line.queries == 0) continue;
    text += fmt::format("{:<{}}  {:>8.2f}  {:>8.2f}  {:>8.2f}  {:>8.2f}  {:>12.1f}  {:>9.1f}  {:>11.1f}  {:>9.1f}\n",
                        line.subset, width, line.ms.embed, line.ms.search, line.ms.select, line.ms.fetch,
                        line.ms.score_before, line.ms.tune, line.ms.score_after, line.total_ms);
  }
  if (report.all.scores_cached > 0) {
    text += fmt::format("untuned scores from the cache: {} of {}\n", report.all.scores_cached, report.all.queries);
  }
  return text;
}

std::string ReportJson(const Report& report) {
  using Json = nlohmann::ordered_json;
  Json results = Json::array(), selections = Json::array(), timings = Json::array();
  for (const Summary& line : Lines(report)) {
    results.push_back({{"subset", line.subset},
                       {"queries", line.queries},
                       {"failed", line.failed},
                       {"bpb_before", line.bpb_before},
                       {"bpb_after", line.bpb_after},
                       {"percent", line.percent},
                       {"percent_low", line.percent_low},
                       {"percent_high", line.percent_high},
                       {"mean_ratio_percent", line.mean_ratio_percent},
                       {"bpb_first_window_before", line.first_window_before},
                       {"bpb_first_window_after", line.first_window_after},
                       {"percent_first_window", line.first_window_percent},
                       {"coverage", line.coverage}});
    Json selection = {{"subset", line.subset}};
    for (const auto& [name, mean] : line.selection) selection[name] = mean;
    selections.push_back(std::move(selection));
    timings.push_back({{"subset", line.subset},
                       {"embed_ms", line.ms.embed},
                       {"search_ms", line.ms.search},
                       {"select_ms", line.ms.select},
                       {"fetch_ms", line.ms.fetch},
                       {"score_before_ms", line.ms.score_before},
                       {"score_before_cached", line.scores_cached},
                       {"tune_ms", line.ms.tune},
                       {"score_after_ms", line.ms.score_after},
                       {"total_ms", line.total_ms}});
  }
  const Json guard = {{"mode", report.guard.mode},
                      {"threshold", report.guard.threshold},
                      {"queries", report.guard.queries},
                      {"marked", report.guard.marked},
                      {"dropped", report.guard.dropped},
                      {"trained", report.guard.trained},
                      {"queries_trained", report.guard.queries_trained}};
  Json json = {{"results", results}, {"selection", selections}, {"guard", guard}, {"timings", timings}};
  for (const MarkSummary& mark : report.marks) {
    json["score_at"].push_back({{"n", mark.n},
                                {"queries", mark.queries},
                                {"bpb_after", mark.bpb_after},
                                {"percent", mark.percent},
                                {"bpb_first_window_after", mark.first_window_after},
                                {"percent_first_window", mark.first_window_percent},
                                {"gradients", mark.gradients},
                                {"tune_ms", mark.tune_ms}});
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string ReportCsv(const Report& report) {
  std::string text =
      "subset,queries,failed,bpb_before,bpb_after,percent,percent_low,percent_high,mean_ratio_percent,"
      "bpb_first_window_before,bpb_first_window_after,percent_first_window,coverage,"
      "embed_ms,search_ms,select_ms,fetch_ms,score_before_ms,tune_ms,score_after_ms,total_ms";
  for (const auto& [name, mean] : report.all.selection) text += "," + name;
  text += "\n";
  for (const Summary& line : Lines(report)) {
    text += fmt::format("{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}", CsvField(line.subset),
                        line.queries, line.failed, line.bpb_before, line.bpb_after, line.percent, line.percent_low,
                        line.percent_high, line.mean_ratio_percent, line.first_window_before, line.first_window_after,
                        line.first_window_percent, line.coverage, line.ms.embed, line.ms.search, line.ms.select,
                        line.ms.fetch, line.ms.score_before, line.ms.tune, line.ms.score_after, line.total_ms);
    for (const auto& [name, mean] : line.selection) text += fmt::format(",{}", mean);
    text += "\n";
  }
  return text;
}

}  // namespace hullft::coordinator
