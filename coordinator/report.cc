#include "coordinator/report.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <span>

#include "common/error.h"
#include "common/hash.h"
#include "common/parallel.h"
#include "common/statistics.h"

namespace hullft::coordinator {
namespace {

double Percent(double after, double before) {
  return before > 0 ? 100.0 * after / before : 0.0;
}

// 95% percentile bootstrap of mean(after) / mean(before): queries are drawn with replacement, both values together.
void Bootstrap(std::span<const Row* const> rows, Summary* summary) {
  PairedValues paired{2, {}};
  for (const Row* row : rows) paired.values.insert(paired.values.end(), {row->before.rolling, row->after.rolling});
  const std::vector<double> means =
      BootstrapMeans(paired, kResamples, Hash64(summary->subset) ^ rows.size(), UsableCores());
  std::vector<double> percents(kResamples);
  for (size_t d = 0; d < percents.size(); ++d) percents[d] = Percent(means[2 * d + 1], means[2 * d]);
  const Interval interval = Middle95(std::move(percents));
  summary->percent_low = interval.low;
  summary->percent_high = interval.high;
}

void AddTimes(const StageTimes& from, double share, StageTimes* to) {
  to->embed += share * from.embed;
  to->search += share * from.search;
  to->select += share * from.select;
  to->fetch += share * from.fetch;
  to->score_before += share * from.score_before;
  to->tune += share * from.tune;
  to->score_after += share * from.score_after;
}

// What a row's selection says of itself. The measures are missing in rows of older versions.
struct Figure {
  const char* name;
  double (*of)(const Row& row);
  bool measure;
};
constexpr Figure kFigures[] = {
    {"objective", [](const Row& row) { return row.objective; }, false},
    {"gap", [](const Row& row) { return row.gap; }, false},
    {"residual_norm", [](const Row& row) { return row.residual_norm; }, false},
    {"rounded_residual_norm", [](const Row& row) { return row.rounded_residual_norm; }, false},
    {"iterations", [](const Row& row) { return static_cast<double>(row.iterations); }, false},
    {"support_size", [](const Row& row) { return static_cast<double>(row.measures->support); }, true},
    {"distinct", [](const Row& row) { return static_cast<double>(row.measures->distinct); }, true},
    {"effective_sequences", [](const Row& row) { return row.measures->effective; }, true},
    {"largest_multiplicity", [](const Row& row) { return static_cast<double>(row.measures->largest); }, true},
    {"redundancy", [](const Row& row) { return row.measures->redundancy; }, true},
    {"rounding_loss", [](const Row& row) { return row.measures->rounding_loss; }, true},
    {"leak_marked", [](const Row& row) { return static_cast<double>(row.leak_marked); }, false},
    {"leak_dropped", [](const Row& row) { return static_cast<double>(row.leak_dropped); }, false},
    {"leak_trained", [](const Row& row) { return static_cast<double>(row.leak_trained); }, false},
};

std::vector<std::pair<std::string, double>> SelectionMeans(std::span<const Row* const> rows) {
  std::vector<std::pair<std::string, double>> means;
  for (const Figure& figure : kFigures) {
    double sum = 0;
    int count = 0;
    for (const Row* row : rows) {
      if (figure.measure && !row->measures) continue;
      sum += figure.of(*row);
      ++count;
    }
    means.emplace_back(figure.name, count > 0 ? sum / count : 0.0);
  }
  return means;
}

// A run has one guard; its rows agree.
GuardSummary SummarizeGuard(std::span<const Row* const> rows) {
  GuardSummary guard;
  for (const Row* row : rows) {
    if (!row->ok || row->guard == "off") continue;
    guard.mode = row->guard;
    guard.threshold = row->leak_threshold;
    guard.queries += row->leak_marked > 0;
    guard.marked += row->leak_marked;
    guard.dropped += row->leak_dropped;
    guard.trained += row->leak_trained;
    guard.queries_trained += row->leak_trained > 0;
  }
  return guard;
}

std::string GuardLine(const GuardSummary& guard) {
  if (guard.mode == "off") return "leakage guard: off, as in the paper\n";
  std::string text = fmt::format("leakage guard: {}, threshold {}: ", guard.mode, guard.threshold);
  text += guard.mode == "drop"
              ? fmt::format("{} candidates of {} queries left out\n", guard.dropped, guard.queries)
              : fmt::format("{} candidates of {} queries marked, {} queries trained on {} copies of such\n",
                            guard.marked, guard.queries, guard.queries_trained, guard.trained);
  return text;
}

Summary Summarize(const std::string& subset, std::span<const Row* const> rows) {
  Summary summary;
  summary.subset = subset;
  std::vector<const Row*> finished;
  for (const Row* row : rows) {
    if (row->ok) finished.push_back(row);
  }
  summary.queries = static_cast<int64_t>(finished.size());
  summary.failed = static_cast<int64_t>(rows.size() - finished.size());
  summary.selection = SelectionMeans(finished);
  if (finished.empty()) return summary;
  const auto n = static_cast<double>(finished.size());
  for (const Row* row : finished) {
    summary.bpb_before += row->before.rolling;
    summary.bpb_after += row->after.rolling;
    summary.first_window_before += row->before.first_window;
    summary.first_window_after += row->after.first_window;
    summary.mean_ratio_percent += Percent(row->after.rolling, row->before.rolling);
    summary.coverage = std::min(summary.coverage, row->coverage);
    AddTimes(row->ms, 1 / n, &summary.ms);
    if (row->ms.score_before_cached) ++summary.scores_cached;
  }
  for (double* sum : {&summary.bpb_before, &summary.bpb_after, &summary.first_window_before,
                      &summary.first_window_after, &summary.mean_ratio_percent}) {
    *sum /= n;
  }
  summary.percent = Percent(summary.bpb_after, summary.bpb_before);
  summary.first_window_percent = Percent(summary.first_window_after, summary.first_window_before);
  summary.total_ms = summary.ms.Total();
  Bootstrap(finished, &summary);
  return summary;
}

std::vector<MarkSummary> SummarizeMarks(std::span<const Row* const> rows) {
  struct Sums {
    MarkSummary mark;
    double before = 0, first_window_before = 0;
  };
  std::map<int, Sums> by_n;
  for (const Row* row : rows) {
    for (size_t i = 0; i < row->marks.size(); ++i) {
      const RowMark& mark = row->marks[i];
      Sums& sums = by_n[mark.n];
      ++sums.mark.queries;
      sums.before += row->before.rolling;
      sums.first_window_before += row->before.first_window;
      sums.mark.bpb_after += mark.bpb.rolling;
      sums.mark.first_window_after += mark.bpb.first_window;
      sums.mark.gradients += static_cast<double>(mark.gradients);
      sums.mark.tune_ms += i < row->ms.tune_at.size() ? row->ms.tune_at[i] : 0;
    }
  }
  std::vector<MarkSummary> marks;
  for (auto& [n, sums] : by_n) {
    MarkSummary& mark = sums.mark;
    mark.n = n;
    mark.percent = Percent(mark.bpb_after, sums.before);
    mark.first_window_percent = Percent(mark.first_window_after, sums.first_window_before);
    for (double* sum : {&mark.bpb_after, &mark.first_window_after, &mark.gradients, &mark.tune_ms}) {
      *sum /= static_cast<double>(mark.queries);
    }
    marks.push_back(mark);
  }
  return marks;
}

std::vector<Summary> Lines(const Report& report) {
  std::vector<Summary> lines = report.subsets;
  lines.push_back(report.all);
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

Report MakeReport(const std::vector<Row>& rows) {
  const std::vector<Row> latest = LatestRows(rows);
  std::map<std::string, std::vector<const Row*>> by_subset;
  std::vector<const Row*> all;
  for (const Row& row : latest) {
    by_subset[row.subset].push_back(&row);
    all.push_back(&row);
  }
  Report report;
  if (by_subset.size() > 1 || !by_subset.contains("all")) {
    for (const auto& [subset, members] : by_subset) report.subsets.push_back(Summarize(subset, members));
  }
  report.all = Summarize("all", all);
  report.guard = SummarizeGuard(all);
  report.marks = SummarizeMarks(all);
  return report;
}

std::string ResultsTable(const Report& report) {
  const std::vector<Summary> lines = Lines(report);
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
  const size_t width = NameWidth(lines);
  std::string text = ResultsHeader("setting", width);
  for (const Summary& line : lines) text += ResultsLine(line, width);
  return text;
}

std::string TimingsTable(const Report& report) {
  const std::vector<Summary> lines = Lines(report);
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
      "subset,queries,failed,bpb_before,bpb_after,percent,percent_low,percent_high,mean_ratio_percent,bpb_first_window_"
      "before,"
      "bpb_first_window_after,percent_first_window,coverage,embed_ms,search_ms,select_ms,fetch_ms,score_before_ms,tune_"
      "ms,"
      "score_after_ms,total_ms";
  for (const Figure& figure : kFigures) text += std::string(",") + figure.name;
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
