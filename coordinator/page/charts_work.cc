#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "common/xml.h"
#include "coordinator/page/charts.h"
#include "coordinator/page/svg.h"

namespace hullft::page {
namespace {
using study::CellFigure;
using study::Figures;
using study::kStageNames;
using study::kStages;
using study::RunTimeline;
using study::Study;
using study::Table;
using study::WorkerFigure;
using study::WorkerSpan;

constexpr double kNames = 210, kWidth = 960, kLane = 22;  // px: names at the left, all, height of a line
constexpr size_t kWorkers = 100, kBars = 6000;            // of a timeline: lines, and rectangles in all of them

std::string Name(double y, const std::string& name) {
  const std::string shown = name.size() > 36 ? name.substr(0, 33) + "..." : name;
  return fmt::format("<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n", kNames - 8, y + 15,
                     XmlEscaped(shown));
}

std::string Lines(const std::string& description, size_t lines, const std::string& body) {
  const double height = kLane * static_cast<double>(lines) + 34;
  return fmt::format(
      "<svg viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" role=\"img\" aria-label=\"{2}\">\n{3}</svg>\n", kWidth,
      height, XmlEscaped(description), body);
}

std::string BottomAxis(const Scale& scale, double width, size_t lines, const std::string& label) {
  const double bottom = kLane * static_cast<double>(lines) + 4;
  std::string body;
  for (const auto& [value, text] : scale.Ticks(8)) {
    const double x = kNames + width * scale.Place(value);
    body += fmt::format(
        "<path class=\"grid\" d=\"M{0:.1f} 0V{1}\"/><text x=\"{0:.1f}\" y=\"{2}\" text-anchor=\"middle\">{3}</text>\n",
        x, bottom, bottom + 14, text);
  }
  return body + fmt::format("<text class=\"small\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\n", kNames - 8,
                            bottom + 14, XmlEscaped(label));
}

// A worker with few tasks: a bar each. With many: slices of time, as strong as it was busy in them.
std::string LaneBars(const WorkerFigure& worker, const RunTimeline& timeline, double y, size_t bars) {
  const double length = std::max(1.0, timeline.end_ms - timeline.begin_ms), width = kWidth - kNames - 10;
  std::string body;
  if (worker.spans.size() <= bars) {
    for (const WorkerSpan& span : worker.spans) {
      const double x = kNames + width * (span.begin_ms - timeline.begin_ms) / length;
      body += Rectangle(x, y + 3, std::max(0.6, width * (span.end_ms - span.begin_ms) / length), kLane - 6, "bar s0",
                        fmt::format("{:.1f} s", (span.end_ms - span.begin_ms) / 1000));
    }
    return body;
  }
  std::vector<double> busy(bars, 0.0);
  const double slice = length / static_cast<double>(bars);
  double done = -1e300;  // lanes of a worker overlap: count each moment once
  for (const WorkerSpan& span : worker.spans) {
    const double begin = std::max(span.begin_ms, done) - timeline.begin_ms, end = span.end_ms - timeline.begin_ms;
    for (auto b = static_cast<size_t>(std::max(0.0, begin / slice)); b < bars && static_cast<double>(b) * slice < end;
         ++b) {
      const double from = std::max(begin, static_cast<double>(b) * slice),
                   to = std::min(end, static_cast<double>(b + 1) * slice);
      busy[b] += std::max(0.0, to - from) / slice;
    }
    done = std::max(done, span.end_ms);
  }
  const auto level = [&](size_t b) { return std::lround(10 * std::min(1.0, busy[b])); };
  for (size_t b = 0; b < bars;) {
    size_t end = b + 1;
    while (end < bars && level(end) == level(b)) ++end;
    if (level(b) > 0) {
      body += fmt::format(
          "<g opacity=\"{:.1f}\">{}</g>", static_cast<double>(level(b)) / 10,
          Rectangle(kNames + width * static_cast<double>(b) / static_cast<double>(bars), y + 3,
                    width * static_cast<double>(end - b) / static_cast<double>(bars), kLane - 6, "bar s0", ""));
    }
    b = end;
  }
  return body;
}

std::string TimelinePanel(const Study& study, const RunTimeline& timeline) {
  const size_t lines = std::min(kWorkers, timeline.workers.size());
  const double seconds = (timeline.end_ms - timeline.begin_ms) / 1000;
  const Scale scale = Scale::Linear(std::vector<double>{0, seconds / 1.05}, true);
  std::string body = BottomAxis(scale, kWidth - kNames - 10, lines, study.runs[timeline.run].name + ", s");
  for (size_t w = 0; w < lines; ++w) {
    const WorkerFigure& worker = timeline.workers[w];
    const double y = kLane * static_cast<double>(w);
    body += Name(y, fmt::format("{} on {}: {:.0f}%", worker.rank, worker.host, 100 * worker.busy));
    body += LaneBars(worker, timeline, y, std::clamp<size_t>(kBars / lines, 20, 600));
  }
  return Lines(
      fmt::format("Timeline of the workers of {}; the numbers follow as a table", study.runs[timeline.run].name), lines,
      body);
}

}  // namespace

FigureBlock StageChart(const Study& study, const Figures& figures) {
  FigureBlock block{
      "stages",
      "Where the time goes",
      "Mean milliseconds a query and stage. The time of a search is shared by the queries of its round; scores "
      "that came from a cache count as 0.",
      {},
      "",
      {}};
  const std::vector<CellFigure>& cells = figures.subsets.back().cells;
  double most = 1e-9;
  for (const CellFigure& figure : cells) {
    double sum = 0;
    for (const double ms : figure.ms) sum += ms;
    most = std::max(most, sum);
  }
  const double width = kWidth - kNames - 70;
  const Scale scale = Scale::Linear(std::vector<double>{0, most / 1.05}, true);
  std::string body = BottomAxis(scale, width, cells.size(), "ms a query");
  Table table{"Mean ms a query", {"setting"}, {}};
  for (const char* stage : kStageNames) table.header.emplace_back(stage);
  table.header.emplace_back("total");
  for (size_t c = 0; c < cells.size(); ++c) {
    const std::string name = CellName(study, study.cells[cells[c].cell]);
    const double y = kLane * static_cast<double>(c);
    double x = kNames, total = 0;
    std::vector<study::TableCell> row = {name};
    body += Name(y, name);
    for (size_t s = 0; s < kStages; ++s) {
      const double ms = cells[c].ms[s], length = width * scale.Place(ms);
      if (length > 0.05)
        body += Rectangle(x, y + 3, length, kLane - 6, fmt::format("bar s{}", s),
                          fmt::format("{}: {:.2f} ms", kStageNames[s], ms));
      x += length, total += ms;
      row.emplace_back(fmt::format("{:.2f}", ms));
    }
    body += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\">{:.4g}</text>\n", x + 5, y + 15, total);
    row.emplace_back(fmt::format("{:.2f}", total));
    table.rows.push_back(std::move(row));
  }
  std::vector<LegendEntry> legend;
  for (size_t s = 0; s < kStages; ++s) legend.push_back({s, kStageNames[s]});
  block.legend_html = LegendHtml(legend);
  block.panels_html.push_back(
      Lines("Stage times of every setting, stacked; the numbers follow as a table", cells.size(), body));
  block.numbers.push_back(std::move(table));
  return block;
}

FigureBlock TimelineChart(const Study& study, const Figures& figures) {
  FigureBlock block{
      "workers",
      "Workers over time",
      "When each worker scored and finetuned, on the coordinator's clock, and the share of the time that it "
      "did. Workers with many tasks are shown in slices of time, the darker the busier.",
      {},
      "",
      {}};
  Table table{"Utilisation", {"run", "worker", "host", "queries", "busy"}, {}};
  for (const RunTimeline& timeline : figures.timelines) {
    block.panels_html.push_back(TimelinePanel(study, timeline));
    if (timeline.workers.size() > kWorkers)
      block.text += fmt::format(" {}: the first {} of {} workers.", study.runs[timeline.run].name, kWorkers,
                                timeline.workers.size());
    for (const WorkerFigure& worker : timeline.workers) {
      table.rows.push_back({study.runs[timeline.run].name, std::to_string(worker.rank), worker.host,
                            std::to_string(worker.queries), fmt::format("{:.1f}%", 100 * worker.busy)});
    }
  }
  if (figures.timelines.size() < study.runs.size())
    block.text += " Runs of older versions did not write down when their queries ended, and are missing here.";
  if (!table.rows.empty()) block.numbers.push_back(std::move(table));
  return block;
}

}  // namespace hullft::page
