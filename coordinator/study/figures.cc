#include "coordinator/study/figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <set>

#include "common/error.h"
#include "coordinator/study/paired.h"
#include "coordinator/study/warnings.h"

namespace hullft::study {
namespace {

void AddTimes(const Study& study, const CommonQueries& common, CellFigure* figure) {
  const Cell& cell = study.cells[figure->cell];
  for (const auto& samples : common.samples) {
    const Sample& sample = *samples[cell.run];
    CellScore score;
    ScoreAt(sample, cell, &score);
    for (int s = 0; s < kStages; ++s) {
      const auto stage = static_cast<size_t>(s);
      figure->ms[stage] += s == kTune ? score.tune_ms : sample.ms[stage];
    }
  }
  for (double& ms : figure->ms) ms /= static_cast<double>(common.samples.size());
  for (size_t s = 0; s <= kTune; ++s) figure->runtime_ms += figure->ms[s];
}

void MarkFront(std::vector<CellFigure>* cells) {
  std::vector<double> cost, loss;
  for (const CellFigure& figure : *cells) cost.push_back(figure.runtime_ms), loss.push_back(figure.percent);
  for (const size_t i : ParetoFront(cost, loss)) (*cells)[i].on_front = true;
}

// The differences of the other series to the best one, from the same draws.
void Compare(const std::vector<CellFigure>& cells, const std::vector<std::vector<double>>& draws, size_t queries,
             std::vector<HeadlineEntry>* headline) {
  const auto best =
      std::ranges::min_element(*headline, {}, [&](const HeadlineEntry& e) { return cells[e.figure].percent; });
  best->best = true;
  std::vector<double> p_values;
  for (HeadlineEntry& entry : *headline) {
    if (entry.best) continue;
    entry.difference = cells[entry.figure].percent - cells[best->figure].percent;
    std::vector<double> differences(kDraws);
    for (size_t d = 0; d < kDraws; ++d) differences[d] = draws[entry.figure][d] - draws[best->figure][d];
    p_values.push_back(PairedPValue(differences, queries));
    entry.interval = Middle95(std::move(differences));
  }
  const std::vector<double> adjusted = HolmAdjusted(p_values);
  size_t next = 0;
  for (HeadlineEntry& entry : *headline) {
    if (!entry.best) entry.p = adjusted[next++];
  }
}

SubsetFigures FiguresOf(const Study& study, const std::string& subset, const std::vector<size_t>& headline_cells,
                        int threads) {
  SubsetFigures figures;
  figures.subset = subset.empty() ? "all" : subset;
  const CommonQueries common = FindCommon(study, subset);
  figures.queries = static_cast<int64_t>(common.samples.size());
  figures.left_out = common.left_out;
  if (common.samples.empty()) return figures;
  const PairedValues paired = ScoresOf(study, common);
  const std::vector<double> means = paired.Means();
  const std::vector<std::vector<double>> draws = PercentDraws(study, paired, threads);
  for (size_t c = 0; c < study.cells.size(); ++c) {
    CellFigure figure;
    figure.cell = c;
    figure.queries = figures.queries;
    figure.before = means[study.cells[c].run];
    figure.after = means[study.runs.size() + c];
    figure.percent = Percent(figure.after, figure.before);
    figure.interval = Middle95(draws[c]);
    AddTimes(study, common, &figure);
    figures.cells.push_back(figure);
  }
  MarkFront(&figures.cells);
  for (const size_t cell : headline_cells) figures.headline.push_back({cell, false, 0, {}, 1});
  Compare(figures.cells, draws, paired.queries(), &figures.headline);
  return figures;
}

// The largest N that all series have; 0 when there is none.
int CommonN(const Study& study) {
  std::map<int, std::set<size_t>> series_of;
  for (const Cell& cell : study.cells) series_of[cell.n].insert(cell.series);
  int n = 0;
  for (const auto& [value, series] : series_of) {
    if (series.size() == study.series.size()) n = value;
  }
  return n;
}

// A cell of each series: at n, or at its largest N when n is 0.
std::vector<size_t> HeadlineCells(const Study& study, int n) {
  std::vector<size_t> cells;
  for (size_t s = 0; s < study.series.size(); ++s) {
    std::optional<size_t> found;
    for (size_t c = 0; c < study.cells.size(); ++c) {
      if (study.cells[c].series == s && (n == 0 || study.cells[c].n == n)) found = c;
    }
    if (!found) {
      throw Error(Code::kUsage, fmt::format("--n {}: {} was not scored there", n, study.series[s]),
                  "leave --n out for the largest N that all have");
    }
    cells.push_back(*found);
  }
  return cells;
}

SeriesFigures FiguresOfSeries(const Study& study, size_t cell_index) {
  const Cell& cell = study.cells[cell_index];
  const RunData& run = study.runs[cell.run];
  SeriesFigures figures;
  figures.cell = cell_index;
  if (cell.mark >= 0) return figures;  // the rows tell of the whole multiset's selection only
  std::vector<double> gaps, residuals, gains;
  for (const Sample& sample : run.samples) {
    CellScore score;
    if (!ScoreAt(sample, cell, &score)) continue;
    gaps.push_back(sample.gap);
    residuals.push_back(sample.rounded_residual_norm);
    gains.push_back(sample.before - score.after);
    ++figures.supports[sample.distinct];
  }
  figures.queries = static_cast<int64_t>(gains.size());
  figures.gap_correlation = SpearmanCorrelation(gaps, gains);
  figures.residual_correlation = SpearmanCorrelation(residuals, gains);
  figures.gap_interval = SpearmanInterval(figures.gap_correlation, gains.size());
  figures.residual_interval = SpearmanInterval(figures.residual_correlation, gains.size());
  figures.multiplicities = run.multiplicities;
  return figures;
}

// Length of the union of spans, which are ordered by begin: the lanes of a worker overlap.
double Covered(const std::vector<WorkerSpan>& spans) {
  double covered = 0, end = -std::numeric_limits<double>::infinity();
  for (const WorkerSpan& span : spans) {
    covered += std::max(0.0, span.end_ms - std::max(span.begin_ms, end));
    end = std::max(end, span.end_ms);
  }
  return covered;
}

std::optional<RunTimeline> TimelineOf(const Study& study, size_t run_index) {
  RunTimeline timeline{run_index, std::numeric_limits<double>::infinity(), 0, {}};
  std::map<int, WorkerFigure> workers;
  for (const Sample& sample : study.runs[run_index].samples) {
    if (sample.ended_ms <= 0) return std::nullopt;
    workers[sample.worker].spans.push_back({sample.ended_ms - sample.worked_ms, sample.ended_ms});
    timeline.begin_ms = std::min(timeline.begin_ms, sample.ended_ms - sample.worked_ms);
    timeline.end_ms = std::max(timeline.end_ms, sample.ended_ms);
  }
  for (auto& [rank, worker] : workers) {
    worker.rank = rank;
    worker.host = study.runs[run_index].workers.at(rank);
    worker.queries = static_cast<int64_t>(worker.spans.size());
    std::ranges::sort(worker.spans, {}, &WorkerSpan::begin_ms);
    const double length = timeline.end_ms - timeline.begin_ms;
    worker.busy = length > 0 ? Covered(worker.spans) / length : 1.0;
    timeline.workers.push_back(std::move(worker));
  }
  return timeline;
}

}  // namespace

Figures MakeFigures(const Study& study, int n, int threads) {
  Figures figures;
  figures.headline_n = n > 0 ? n : CommonN(study);
  const std::vector<size_t> headline_cells = HeadlineCells(study, figures.headline_n);
  if (study.subsets.size() > 1 || study.subsets.front() != "all") {
    for (const std::string& subset : study.subsets)
      figures.subsets.push_back(FiguresOf(study, subset, headline_cells, threads));
  }
  figures.subsets.push_back(FiguresOf(study, "", headline_cells, threads));
  if (figures.subsets.back().cells.empty()) {
    throw Error(Code::kUsage, "no query is finished in all of these runs: there is nothing to compare",
                "let the runs go on, or report them one by one");
  }
  for (const size_t cell : headline_cells) figures.series.push_back(FiguresOfSeries(study, cell));
  for (size_t r = 0; r < study.runs.size(); ++r) {
    if (auto timeline = TimelineOf(study, r)) figures.timelines.push_back(std::move(*timeline));
  }
  figures.warnings = WarningsOf(study, figures);
  return figures;
}

}  // namespace hullft::study
