#include "coordinator/report.h"

#include <algorithm>
#include <cmath>
#include <map>
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

}  // namespace hullft::coordinator
