// Figures as JSON (docs/formats/report.md).
#include <cmath>
#include <nlohmann/json.hpp>

#include "coordinator/study/figures.h"

namespace hullft::study {
namespace {
using Json = nlohmann::ordered_json;

Json RunsJson(const Study& study) {
  Json runs = Json::array();
  for (const RunData& run : study.runs) {
    runs.push_back({{"folder", run.folder.string()},
                    {"finished", run.samples.size()},
                    {"failed", run.failures.size()},
                    {"coverage", run.coverage},
                    {"provenance", run.provenance},
                    {"identity", run.identity}});
  }
  return runs;
}

Json CellJson(const Study& study, const SubsetFigures& subset, const CellFigure& figure) {
  const Cell& cell = study.cells[figure.cell];
  Json ms;
  for (size_t s = 0; s < kStages; ++s) ms[kStageNames[s]] = figure.ms[s];
  return {{"subset", subset.subset},
          {"series", study.series[cell.series]},
          {"n", cell.n},
          {"run", cell.run},
          {"queries", figure.queries},
          {"bpb_before", figure.before},
          {"bpb_after", figure.after},
          {"percent", figure.percent},
          {"percent_low", figure.interval.low},
          {"percent_high", figure.interval.high},
          {"runtime_ms", figure.runtime_ms},
          {"pareto", figure.on_front},
          {"ms", ms}};
}

Json HeadlineJson(const Study& study, const SubsetFigures& subset) {
  Json entries = Json::array();
  for (const HeadlineEntry& entry : subset.headline) {
    const CellFigure& figure = subset.cells[entry.figure];
    const Cell& cell = study.cells[figure.cell];
    entries.push_back({{"series", study.series[cell.series]},
                       {"n", cell.n},
                       {"percent", figure.percent},
                       {"best", entry.best},
                       {"difference", entry.difference},
                       {"difference_low", entry.interval.low},
                       {"difference_high", entry.interval.high},
                       {"p_holm", entry.p}});
  }
  return {{"subset", subset.subset}, {"queries", subset.queries}, {"left_out", subset.left_out}, {"entries", entries}};
}

Json CountsJson(const std::map<int, int64_t>& counts) {
  Json json = Json::object();
  for (const auto& [value, count] : counts) json[std::to_string(value)] = count;
  return json;
}

Json NumberOrNull(double value) {
  return std::isfinite(value) ? Json(value) : Json();
}

Json SeriesJson(const Study& study, const SeriesFigures& figures) {
  const Cell& cell = study.cells[figures.cell];
  return {{"series", study.series[cell.series]},
          {"n", cell.n},
          {"queries", figures.queries},
          {"gap_gain_spearman", NumberOrNull(figures.gap_correlation)},
          {"gap_gain_interval", {figures.gap_interval.low, figures.gap_interval.high}},
          {"residual_gain_spearman", NumberOrNull(figures.residual_correlation)},
          {"residual_gain_interval", {figures.residual_interval.low, figures.residual_interval.high}},
          {"multiplicities", CountsJson(figures.multiplicities)},
          {"supports", CountsJson(figures.supports)}};
}

Json TimelineJson(const RunTimeline& timeline) {
  Json workers = Json::array();
  for (const WorkerFigure& worker : timeline.workers) {
    workers.push_back(
        {{"rank", worker.rank}, {"host", worker.host}, {"queries", worker.queries}, {"busy", worker.busy}});
  }
  return {{"run", timeline.run}, {"seconds", (timeline.end_ms - timeline.begin_ms) / 1000}, {"workers", workers}};
}

}  // namespace

std::string FiguresJson(const Study& study, const Figures& figures) {
  Json json = {{"definition", DefinitionName(study.definition)},
               {"draws", kDraws},
               {"seed", kSeed},
               {"runs", RunsJson(study)},
               {"differing", study.differing},
               {"headline_n", figures.headline_n},
               {"headline", Json::array()},
               {"cells", Json::array()},
               {"series", Json::array()},
               {"timelines", Json::array()},
               {"warnings", figures.warnings}};
  for (const SubsetFigures& subset : figures.subsets) {
    json["headline"].push_back(HeadlineJson(study, subset));
    for (const CellFigure& figure : subset.cells) json["cells"].push_back(CellJson(study, subset, figure));
  }
  for (const SeriesFigures& series : figures.series) json["series"].push_back(SeriesJson(study, series));
  for (const RunTimeline& timeline : figures.timelines) json["timelines"].push_back(TimelineJson(timeline));
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace hullft::study
