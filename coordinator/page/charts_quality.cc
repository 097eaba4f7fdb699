#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "coordinator/page/charts.h"
#include "coordinator/page/svg.h"

namespace hullft::page {
namespace {
using study::Cell;
using study::CellFigure;
using study::Figures;
using study::Study;
using study::SubsetFigures;
using study::Table;

std::string PercentText(const CellFigure& figure) {
  return fmt::format("{:.2f}% [{:.2f}, {:.2f}]", figure.percent, figure.interval.low, figure.interval.high);
}

std::vector<std::pair<double, std::string>> TicksAt(const std::set<int>& values) {
  std::vector<std::pair<double, std::string>> ticks;
  int last = 0;
  for (const int value : values) {
    if (value < 1.3 * last) continue;  // their texts would touch
    ticks.emplace_back(value, std::to_string(value));
    last = value;
  }
  return ticks;
}

std::string CurvePanel(const Study& study, const SubsetFigures& subset) {
  std::vector<double> ns, percents;
  std::set<int> all_n;
  for (const CellFigure& figure : subset.cells) {
    ns.push_back(study.cells[figure.cell].n);
    all_n.insert(study.cells[figure.cell].n);
    for (const double value : {figure.percent, figure.interval.low, figure.interval.high}) percents.push_back(value);
  }
  Panel panel({fmt::format("{} ({} {})", subset.subset, subset.queries, subset.queries == 1 ? "query" : "queries"), "N",
               "BPB, % of untuned", Scale::Log(ns), Scale::Linear(percents), TicksAt(all_n)});
  for (size_t s = 0; s < study.series.size(); ++s) {
    std::vector<Point> points;
    for (const CellFigure& figure : subset.cells) {
      const Cell& cell = study.cells[figure.cell];
      if (cell.series != s) continue;
      points.push_back({static_cast<double>(cell.n), figure.percent});
      panel.ErrorBar(cell.n, figure.interval.low, figure.interval.high, s);
    }
    panel.Line(points, s);
    for (const Point& point : points)
      panel.Shape(point, s, fmt::format("{}, N = {}: {:.2f}%", study.series[s], point.x, point.y));
  }
  return panel.Svg(
      fmt::format("BPB as per cent of untuned against N for {}; the numbers follow as a table", subset.subset));
}

}  // namespace

std::string SeriesLegend(const Study& study) {
  std::vector<LegendEntry> entries;
  for (size_t s = 0; s < study.series.size(); ++s) entries.push_back({s, study.series[s]});
  return LegendHtml(entries);
}

FigureBlock QualityChart(const Study& study, const Figures& figures) {
  const SubsetFigures& all = figures.subsets.back();
  FigureBlock block{
      "quality",
      "Quality against runtime",
      "Mean BPB as per cent of untuned over all queries, against the mean time to select and finetune one "
      "query (scoring is not counted). Left and low is better; the dotted line joins the settings that no "
      "other one beats in both.",
      {},
      SeriesLegend(study),
      {}};
  std::vector<double> times, percents;
  for (const CellFigure& figure : all.cells) {
    times.push_back(figure.runtime_ms);
    for (const double value : {figure.percent, figure.interval.low, figure.interval.high}) percents.push_back(value);
  }
  Panel panel(
      {"all queries", "ms a query, logarithmic", "BPB, % of untuned", Scale::Log(times), Scale::Linear(percents), {}},
      720, 340);
  std::vector<const CellFigure*> front;
  Table table{"Time and quality of every setting",
              {"setting", "ms a query", "selection ms", "finetuning ms", "BPB, % of untuned", "on the front"},
              {}};
  for (const CellFigure& figure : all.cells) {
    const Cell& cell = study.cells[figure.cell];
    panel.ErrorBar(figure.runtime_ms, figure.interval.low, figure.interval.high, cell.series);
    panel.Shape({figure.runtime_ms, figure.percent}, cell.series, CellName(study, cell) + ": " + PercentText(figure));
    if (figure.on_front) front.push_back(&figure);
    const double tune = figure.ms[study::kTune];
    table.rows.push_back({CellName(study, cell), fmt::format("{:.2f}", figure.runtime_ms),
                          fmt::format("{:.2f}", figure.runtime_ms - tune), fmt::format("{:.2f}", tune),
                          PercentText(figure), figure.on_front ? "yes" : "no"});
  }
  std::ranges::sort(front, {}, &CellFigure::runtime_ms);
  std::vector<Point> line;
  for (const CellFigure* figure : front) line.push_back({figure->runtime_ms, figure->percent});
  panel.Line(line, 7, "front");
  const auto label = [&](const CellFigure& figure) {
    panel.Label({figure.runtime_ms, figure.percent}, fmt::format("N={}", study.cells[figure.cell].n));
  };
  for (const CellFigure* figure : front) label(*figure);  // first, as one that lies on another is left out
  for (const CellFigure& figure : all.cells) label(figure);
  block.panels_html.push_back(panel.Svg("BPB against runtime with its Pareto front; the numbers follow as a table"));
  block.numbers.push_back(std::move(table));
  return block;
}

FigureBlock CurveChart(const Study& study, const Figures& figures) {
  FigureBlock block{"curves",
                    "BPB against N",
                    "One panel a subset, with 95% intervals. N counts repeats; its axis is logarithmic.",
                    {},
                    SeriesLegend(study),
                    {}};
  Table table{"BPB as per cent of untuned", {"subset"}, {}};
  for (const Cell& cell : study.cells) table.header.push_back(CellName(study, cell));
  for (const SubsetFigures& subset : figures.subsets) {
    if (subset.cells.empty()) continue;
    block.panels_html.push_back(CurvePanel(study, subset));
    std::vector<study::TableCell> row = {subset.subset};
    for (const CellFigure& figure : subset.cells) row.emplace_back(PercentText(figure));
    table.rows.push_back(std::move(row));
  }
  block.numbers.push_back(std::move(table));
  return block;
}

}  // namespace hullft::page
