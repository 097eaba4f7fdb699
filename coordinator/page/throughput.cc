#include "coordinator/page/throughput.h"

#include <fmt/format.h>

#include "common/xml.h"
#include "coordinator/page/html.h"
#include "coordinator/page/svg.h"

namespace hullft::page {
namespace {
using study::Table;

std::string Rate(double rate) {
  return fmt::format("{:.4g}", rate);
}

FigureBlock ScalingBlock(const Throughput& throughput) {
  FigureBlock block{"scaling",
                    "Queries a second by workers",
                    "All queries are there from the start. The dotted line is the rate of the fewest workers, times as "
                    "many.",
                    {},
                    "",
                    {}};
  Table table{"Workers, and what they do", {"workers", "queries", "queries/s", "of ideal", "busy", "J a query"}, {}};
  std::vector<double> workers, rates = {0};
  std::vector<Point> measured, ideal;
  const LoadPoint& first = throughput.scaling.front();
  for (const LoadPoint& point : throughput.scaling) {
    const double best = first.rate * point.workers / first.workers;
    measured.push_back({static_cast<double>(point.workers), point.rate});
    ideal.push_back({static_cast<double>(point.workers), best});
    workers.push_back(point.workers);
    rates.insert(rates.end(), {point.rate, best});
    table.rows.push_back({std::to_string(point.workers), std::to_string(point.queries), Rate(point.rate),
                          fmt::format("{:.0f}%", 100 * point.rate / best), fmt::format("{:.0f}%", 100 * point.busy),
                          point.joules ? fmt::format("{:.3g}", *point.joules) : "not readable"});
  }
  Panel panel({"throughput", "workers", "queries a second", Scale::Linear(workers), Scale::Linear(rates, true), {}});
  panel.Line(ideal, 7, "front");
  panel.Line(measured, 0);
  for (const Point& point : measured) panel.Shape(point, 0, fmt::format("{}: {:.4g}/s", point.x, point.y));
  block.panels_html.push_back(panel.Svg("Queries a second by workers; the numbers follow as a table"));
  block.numbers.push_back(std::move(table));
  return block;
}

FigureBlock SaturationBlock(const Throughput& throughput) {
  FigureBlock block{"saturation",
                    "Saturation",
                    "Queries arrive one by one at a fixed rate. Left: what comes out; where it leaves the dotted line, "
                    "the layout is full. Right: how long a query takes from its arrival to its result.",
                    {},
                    LegendHtml({{0, "median"}, {1, "95%"}, {2, "99%"}}),
                    {}};
  Table table{"Latency of the whole query by load, ms",
              {"offered, queries/s", "done, queries/s", "busy", "p50", "p95", "p99", "waiting, p50", "waiting, p99"},
              {}};
  std::vector<double> offered, done = {0}, latencies;
  std::vector<Point> rate, ideal;
  std::array<std::vector<Point>, 3> lines;
  for (const LoadPoint& point : throughput.saturation) {
    const Quantiles &whole = point.ms[kWhole], &waiting = point.ms[kWaiting];
    offered.push_back(point.offered);
    done.insert(done.end(), {point.rate, point.offered});
    rate.push_back({point.offered, point.rate});
    ideal.push_back({point.offered, point.offered});
    latencies.insert(latencies.end(), {whole.p50, whole.p95, whole.p99});
    for (size_t l = 0; l < 3; ++l) lines[l].push_back({point.offered, latencies[latencies.size() - 3 + l]});
    table.rows.push_back({Rate(point.offered), Rate(point.rate), fmt::format("{:.0f}%", 100 * point.busy),
                          fmt::format("{:.1f}", whole.p50), fmt::format("{:.1f}", whole.p95),
                          fmt::format("{:.1f}", whole.p99), fmt::format("{:.1f}", waiting.p50),
                          fmt::format("{:.1f}", waiting.p99)});
  }
  Panel out({"done",
             "offered, queries a second",
             "done, queries a second",
             Scale::Linear(offered),
             Scale::Linear(done, true),
             {}});
  out.Line(ideal, 7, "front");
  out.Line(rate, 0);
  for (const Point& point : rate) out.Shape(point, 0, fmt::format("{:.4g} of {:.4g}/s", point.y, point.x));
  block.panels_html.push_back(out.Svg("Queries done by queries offered; the numbers follow as a table"));
  Panel latency(
      {"latency", "offered, queries a second", "ms, logarithmic", Scale::Linear(offered), Scale::Log(latencies), {}});
  for (size_t l = 0; l < 3; ++l) {
    latency.Line(lines[l], l);
    for (const Point& point : lines[l]) latency.Shape(point, l, fmt::format("{:.1f} ms", point.y));
  }
  block.panels_html.push_back(latency.Svg("Latency by queries offered; the numbers follow as a table"));
  block.numbers.push_back(std::move(table));
  return block;
}

Table StageTable(const LoadPoint& point) {
  Table table{fmt::format("Latency by stage, {} worker{}, {}, ms; embed, search and fetch are a round's time over its "
                          "queries",
                          point.workers, point.workers == 1 ? "" : "s",
                          point.offered > 0 ? fmt::format("{:.4g} queries/s offered", point.offered) : "all at once"),
              {"stage", "p50", "p95", "p99"},
              {}};
  for (size_t s = 0; s < (point.offered > 0 ? kLatencies.size() : kWaiting); ++s) {
    const Quantiles& ms = point.ms[s];
    table.rows.push_back(
        {kLatencies[s], fmt::format("{:.3f}", ms.p50), fmt::format("{:.3f}", ms.p95), fmt::format("{:.3f}", ms.p99)});
  }
  return table;
}

}  // namespace

std::string ThroughputPage(const Throughput& throughput, const std::string& json) {
  std::string body = "<h1>hullft: throughput</h1>\n";
  Table facts{"Where and how", {"what", ""}, {}};
  for (const auto& [name, value] : throughput.facts) facts.rows.push_back({name, value});
  if (!throughput.warnings.empty()) {
    body += "<ul class=\"warnings\">\n";
    for (const std::string& warning : throughput.warnings) body += "<li>" + XmlEscaped(warning) + "</li>\n";
    body += "</ul>\n";
  }
  if (!throughput.scaling.empty()) body += FigureHtml(ScalingBlock(throughput));
  if (!throughput.saturation.empty()) body += FigureHtml(SaturationBlock(throughput));
  body += "<section id=\"stages\"><h2>Latency by stage</h2>\n";
  for (const auto* points : {&throughput.scaling, &throughput.saturation}) {
    for (const LoadPoint& point : *points) body += TableHtml(StageTable(point));
  }
  body += "</section>\n<section id=\"provenance\" class=\"provenance\"><h2>Provenance</h2>\n" + TableHtml(facts) +
          "</section>\n";
  return DocumentHtml("hullft: throughput", body, json);
}

}  // namespace hullft::page
