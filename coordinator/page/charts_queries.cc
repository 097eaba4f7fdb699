#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "coordinator/page/charts.h"
#include "coordinator/page/svg.h"

namespace hullft::page {
namespace {
using study::Cell;
using study::Figures;
using study::Sample;
using study::SeriesFigures;
using study::Study;
using study::Table;

struct Scored {
  const Sample* sample;
  double after;
};

std::vector<Scored> ScoredAt(const Study& study, const Cell& cell) {
  std::vector<Scored> scored;
  for (const Sample& sample : study.runs[cell.run].samples) {
    study::CellScore score;
    if (ScoreAt(sample, cell, &score)) scored.push_back({&sample, score.after});
  }
  return scored;
}

// Every so many-th, kDots at most.
std::vector<Point> Thinned(const std::vector<Point>& points) {
  if (points.size() <= kDots) return points;
  std::vector<Point> some;
  for (size_t i = 0; i < kDots; ++i) some.push_back(points[i * points.size() / kDots]);
  return some;
}

std::string ThinnedNote(size_t shown, size_t all) {
  return shown < all ? fmt::format("{} of {} shown", shown, all) : fmt::format("{} queries", all);
}

Panel DotPanel(const std::string& title, const std::string& x_label, const std::string& y_label,
               const std::vector<Point>& points, bool log_x) {
  std::vector<double> x, y;
  for (const Point& point : points) x.push_back(point.x), y.push_back(point.y);
  return Panel({title, x_label, y_label, log_x ? Scale::Log(x) : Scale::Linear(x), Scale::Linear(y), {}});
}

std::vector<study::TableCell> QuantileRow(const std::string& name, std::vector<double> ratios) {
  std::ranges::sort(ratios);
  std::vector<study::TableCell> row = {name, std::to_string(ratios.size())};
  for (const double q : {0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0})
    row.emplace_back(fmt::format("{:.2f}", Quantile(ratios, q)));
  const auto worse = std::ranges::count_if(ratios, [](double ratio) { return ratio > 100; });
  row.emplace_back(std::to_string(worse));
  return row;
}

std::string SpearmanText(double rho, const Interval& interval) {
  return std::isnan(rho) ? "undefined" : fmt::format("{:.3f} [{:.3f}, {:.3f}]", rho, interval.low, interval.high);
}

// counts: not empty.
std::string HistogramPanel(const std::string& title, const std::string& x_label, const std::map<int, int64_t>& counts,
                           size_t series) {
  std::vector<double> x, y;
  for (const auto& [value, count] : counts) {
    x.insert(x.end(), {value - 0.5, value + 0.5});
    y.push_back(static_cast<double>(count));
  }
  std::vector<std::pair<double, std::string>> ticks;
  const int step = 1 + (counts.rbegin()->first - counts.begin()->first) / 10;
  for (int value = counts.begin()->first; value <= counts.rbegin()->first; value += step)
    ticks.emplace_back(value, std::to_string(value));
  Panel panel({title, x_label, "how many", Scale::Linear(x), Scale::Linear(y, true), ticks});
  for (const auto& [value, count] : counts)
    panel.Bar(value - 0.45, value + 0.45, static_cast<double>(count), series, fmt::format("{}: {}", value, count));
  return panel.Svg(fmt::format("Histogram of {} of {}; the numbers follow as a table", x_label, title));
}

Table HistogramTable(const std::string& caption, const std::string& name, const std::map<int, int64_t>& counts) {
  Table table{caption, {name, "how many"}, {}};
  for (const auto& [value, count] : counts) table.rows.push_back({std::to_string(value), std::to_string(count)});
  return table;
}

}  // namespace

FigureBlock BeforeAfterChart(const Study& study, const Figures& figures) {
  FigureBlock block{"queries",
                    "Each query before and after",
                    "A dot is a query; below the diagonal finetuning helped. Where there are more queries than dots, "
                    "every so many-th is shown, evenly over the file.",
                    {},
                    "",
                    {}};
  Table table{"BPB after as per cent of before, over single queries",
              {"setting", "queries", "least", "5%", "25%", "median", "75%", "95%", "most", "worse than before"},
              {}};
  for (const SeriesFigures& series : figures.series) {
    const Cell& cell = study.cells[series.cell];
    std::vector<Point> points;
    std::vector<double> ratios;
    for (const Scored& scored : ScoredAt(study, cell)) {
      points.push_back({scored.sample->before, scored.after});
      if (scored.sample->before > 0) ratios.push_back(100 * scored.after / scored.sample->before);
    }
    const std::vector<Point> some = Thinned(points);
    Panel panel = DotPanel(fmt::format("{} ({})", CellName(study, cell), ThinnedNote(some.size(), points.size())),
                           "BPB before", "BPB after", points, false);
    const auto [left, right] = std::ranges::minmax_element(points, {}, &Point::x);
    const auto [least, most] = std::ranges::minmax_element(points, {}, &Point::y);
    const double low = std::max(left->x, least->y), high = std::min(right->x, most->y);
    if (low < high) panel.Line({{low, low}, {high, high}}, 7, "diagonal");
    panel.Dots(some, cell.series);
    block.panels_html.push_back(panel.Svg("BPB after against BPB before; quantiles follow as a table"));
    table.rows.push_back(QuantileRow(CellName(study, cell), std::move(ratios)));
  }
  block.numbers.push_back(std::move(table));
  return block;
}

FigureBlock CorrelationChart(const Study& study, const Figures& figures) {
  FigureBlock block{"reconstruction",
                    "Does better reconstruction mean better tuning?",
                    "The gain is BPB before minus after. Left: against the duality gap at which Frank-Wolfe ended (for "
                    "methods that have one). Right: against the distance of the query to the mean of what was trained "
                    "on. A negative rank correlation would say yes; it does not show a cause: long or easy queries may "
                    "have both.",
                    {},
                    "",
                    {}};
  Table table{"Spearman's rank correlation with the gain, with 95% intervals",
              {"setting", "queries", "duality gap", "distance to the mean trained on"},
              {}};
  for (const SeriesFigures& series : figures.series) {
    if (series.queries == 0) continue;
    const Cell& cell = study.cells[series.cell];
    std::vector<Point> gaps, residuals;
    for (const Scored& scored : ScoredAt(study, cell)) {
      const double gain = scored.sample->before - scored.after;
      if (scored.sample->gap > 0) gaps.push_back({scored.sample->gap, gain});
      residuals.push_back({scored.sample->rounded_residual_norm, gain});
    }
    for (const auto& [points, label, log_x, rho] :
         {std::tuple(&gaps, "duality gap, logarithmic", true, series.gap_correlation),
          std::tuple(&residuals, "distance to the mean trained on", false, series.residual_correlation)}) {
      if (points->empty() || std::isnan(rho)) continue;
      const std::vector<Point> some = Thinned(*points);
      Panel panel = DotPanel(fmt::format("{}: rho = {:.2f} ({})", study.series[cell.series], rho,
                                         ThinnedNote(some.size(), points->size())),
                             label, "gain in BPB", *points, log_x);
      panel.Dots(some, cell.series);
      block.panels_html.push_back(panel.Svg(fmt::format("Gain in BPB against {}", label)));
    }
    table.rows.push_back({CellName(study, cell), std::to_string(series.queries),
                          SpearmanText(series.gap_correlation, series.gap_interval),
                          SpearmanText(series.residual_correlation, series.residual_interval)});
  }
  block.numbers.push_back(std::move(table));
  return block;
}

FigureBlock HistogramChart(const Study& study, const Figures& figures) {
  FigureBlock block{"histograms",
                    "Multiplicities and supports",
                    "How often a sequence stands in a multiset, over the sequences of all queries; and how many "
                    "different sequences a multiset has, over the queries. Settings scored on the way to a larger N "
                    "have none of their own.",
                    {},
                    "",
                    {}};
  for (const SeriesFigures& series : figures.series) {
    if (series.queries == 0) continue;
    const Cell& cell = study.cells[series.cell];
    const std::string name = CellName(study, cell);
    block.panels_html.push_back(HistogramPanel(name, "multiplicity of a sequence", series.multiplicities, cell.series));
    block.panels_html.push_back(HistogramPanel(name, "different sequences of a query", series.supports, cell.series));
    block.numbers.push_back(
        HistogramTable(name + ": sequences by multiplicity", "multiplicity", series.multiplicities));
    block.numbers.push_back(HistogramTable(name + ": queries by different sequences", "sequences", series.supports));
  }
  return block;
}

}  // namespace hullft::page
