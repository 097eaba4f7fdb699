// The table at the end of a run, made from the rows of its journal alone.
//
// The results part (ResultsTable, the results of the JSON and CSV) is a function of what the rows say about ids and
// BPB: the same for any order of work, any number of interruptions and any machine with the same arithmetic. Timings
// are kept apart (TimingsTable, columns that end in _ms). Thread safety: free functions.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/row.h"

namespace hullft::coordinator {

struct Summary {
  std::string subset;                        // "all" for the last line
  int64_t queries = 0, failed = 0;           // queries: finished ones
  double bpb_before = 0, bpb_after = 0;      // means over queries, rolling windows
  double percent = 0;                        // 100 * mean after / mean before
  double percent_low = 0, percent_high = 0;  // 95% percentile bootstrap over queries, kResamples draws, fixed seed
  double mean_ratio_percent = 0;             // mean over queries of 100 * after / before
  double first_window_before = 0, first_window_after = 0, first_window_percent = 0;
  double coverage = 1;  // the lowest of the rows
  // Means over the rows that have them of what the selection says of itself: name of the row's field, mean.
  std::vector<std::pair<std::string, double>> selection;
  StageTimes ms;  // means over queries
  double total_ms = 0;
  int64_t scores_cached = 0;  // queries whose untuned score came from --score-cache
};

// Of all queries that were scored there (--score-at).
struct MarkSummary {
  int n = 0;  // of the multiset trained on
  int64_t queries = 0;
  double bpb_after = 0, percent = 0;  // as in Summary, with the score at n
  double first_window_after = 0, first_window_percent = 0;
  double gradients = 0, tune_ms = 0;  // means
};

inline constexpr int kResamples = 2000;

// What the leakage guard did, over all finished rows.
struct GuardSummary {
  std::string mode = "off";
  double threshold = 0;
  int64_t queries = 0;  // with a marked candidate
  int64_t marked = 0, dropped = 0, trained = 0;
  int64_t queries_trained = 0;  // that trained on a marked sequence
};

struct Report {
  std::vector<Summary> subsets;  // by name
  Summary all;
  GuardSummary guard;
  std::vector<MarkSummary> marks;  // by rising n
};

Report MakeReport(const std::vector<Row>& rows);
// With --score-at a second table follows: BPB by N.
std::string ResultsTable(const Report& report);
std::string TimingsTable(const Report& report);
// A line for each setting of a grid (Row::run); of rows without one, their ResultsTable.
std::string SettingsTable(const std::vector<Row>& rows);
// {"results": [...], "selection": [...], "timings": [...]}, pretty-printed, each with a line per subset and one for
// all; with --score-at also "score_at", a line per N.
std::string ReportJson(const Report& report);
// One line per subset and one for all; timings are the columns that end in _ms, the selection's are the last.
std::string ReportCsv(const Report& report);

}  // namespace hullft::coordinator
