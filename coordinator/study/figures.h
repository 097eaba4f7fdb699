// The numbers of a report: everything the page, the tables and the JSON show is computed here, from the samples alone.
//
// Letters: Q queries, C cells. Averages are over the queries of a subset that *every* cell has finished, so that all
// comparisons are paired. Per cent means 100 * mean BPB after / mean BPB before. Intervals are the middle 95% of
// kDraws paired bootstrap draws (common/statistics.h) with seed kSeed; one set of draws of a subset serves all its
// cells. Format of FiguresJson: docs/formats/report.md. Thread safety: values, free functions.
#pragma once

#include <string>
#include <vector>

#include "coordinator/study/paired.h"

namespace hullft::study {

struct CellFigure {
  size_t cell = 0;
  int64_t queries = 0;
  double before = 0, after = 0, percent = 0;
  Interval interval;                 // of percent
  std::array<double, kStages> ms{};  // means
  double runtime_ms = 0;             // of selecting and finetuning, without scoring
  bool on_front = false;             // no other cell of the subset is as fast and better
};

struct HeadlineEntry {
  size_t figure = 0;  // index into SubsetFigures::cells
  bool best = false;
  double difference = 0;  // percentage points above the best of the row
  Interval interval;      // of difference
  double p = 1;           // corrected by Holm over the comparisons of the row; 1 for the best
};

struct SubsetFigures {
  std::string subset;                   // "all" for the last
  int64_t queries = 0, left_out = 0;    // left out: finished by some cells only
  std::vector<CellFigure> cells;        // as Study::cells; empty when no query is common to them
  std::vector<HeadlineEntry> headline;  // a cell of each series, in their order
};

// Over all finished queries of a series' headline cell. Nothing but the cell where it is one of --score-at.
struct SeriesFigures {
  size_t cell = 0;
  int64_t queries = 0;
  // Spearman: of the duality gap, and of the rounded residual's norm, with BPB before - after; NaN when undefined.
  double gap_correlation = 0, residual_correlation = 0;
  Interval gap_interval, residual_interval;
  std::map<int, int64_t> multiplicities, supports;  // value: how many sequences, queries
};

struct WorkerSpan {
  double begin_ms = 0, end_ms = 0;  // Unix time
};

struct WorkerFigure {
  int rank = 0;
  std::string host;
  int64_t queries = 0;
  double busy = 0;                // share of the time between the run's first and last moment
  std::vector<WorkerSpan> spans;  // by begin
};

struct RunTimeline {
  size_t run = 0;
  double begin_ms = 0, end_ms = 0;
  std::vector<WorkerFigure> workers;  // by rank
};

struct Figures {
  int headline_n = 0;  // 0: the series have no N in common, and each is shown at its largest
  std::vector<SubsetFigures> subsets;
  std::vector<SeriesFigures> series;
  std::vector<RunTimeline> timelines;  // of the runs whose rows say when they ended
  std::vector<std::string> warnings;
};

// n: of the headline; 0: the largest that all series have.
Figures MakeFigures(const Study& study, int n, int threads);
std::string FiguresJson(const Study& study, const Figures& figures);

}  // namespace hullft::study
