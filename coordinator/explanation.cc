#include "coordinator/explanation.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "coordinator/measures_json.h"
#include "coordinator/text_line.h"

namespace hullft::coordinator {
namespace {

bool HasWeights(const Explanation& e) {
  return e.selection.stop != "";
}

PlotAxis AxisOf(const Explanation& e) {
  return HasWeights(e) ? PlotAxis{"iterations", 0} : PlotAxis{"picks", 1};
}

std::vector<Series> Panels(const Explanation& e) {
  std::vector<Series> panels = {{HasWeights(e) ? "objective 1/2 |t - sum w x|^2 after each iteration (log scale)"
                                               : "objective 1/2 |t - mean of the first picks|^2 (log scale)",
                                 e.selection.objectives}};
  if (!e.selection.gaps.empty())
    panels.push_back(
        {"duality gap, a bound on objective - optimum, after each iteration (log scale)", e.selection.gaps});
  return panels;
}

std::string GuardText(const Explanation& e) {
  if (e.guard == "off") return "leakage guard: off, as in the paper\n";
  return fmt::format("leakage guard: {}, threshold {}: {} of the nearest leak{}\n", e.guard, e.leak_threshold,
                     e.leak_marked, e.guard == "drop" ? ", left out" : "; marked with !");
}

std::string Table(const Explanation& e, int columns) {
  int id_width = 2;
  for (const ExplainedSequence& s : e.sequences)
    id_width = std::max(id_width, static_cast<int>(std::to_string(s.id).size()));
  std::string text = fmt::format("{:>4}  {:>{}}  {:>8}  {:>8}  {:>5}  {}\n", "rank", "id", id_width, "score", "weight",
                                 "count", "text");
  const int left = std::max(16, columns - (4 + 2 + id_width + 2 + 8 + 2 + 8 + 2 + 5 + 2));
  for (size_t i = 0; i < e.sequences.size(); ++i) {
    const ExplainedSequence& s = e.sequences[i];
    std::string line =
        fmt::format("{:>4}  {:>{}}  {:>8.4f}  {:>8.5f}  {:>5}{:<2}{}", i + 1, s.id, id_width, s.score, s.weight,
                    s.count, s.leaks ? "!" : "", Beginning(s.text, static_cast<size_t>(left) - 3));
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

std::string Numbers(const Explanation& e) {
  const select::Selection& s = e.selection;
  const select::Measures& m = s.measures;
  std::string text = fmt::format("objective      {:.6g}", s.objective);
  if (HasWeights(e)) text += fmt::format(", at most {:.3g} above this pool's optimum (duality gap)", s.gap);
  text += fmt::format("\nresidual norm  {:.6g}", s.residual_norm);
  if (HasWeights(e)) {
    text +=
        fmt::format(" by weights, {:.6g} by counts (rounding loss {:.3g})", s.rounded_residual_norm, m.rounding_loss);
    text += m.rounding_gap ? fmt::format("\nrounding gap   {:.3g}, what the best counts of these sequences would save",
                                         *m.rounding_gap)
                           : "\nrounding gap   unknown: the search was off or too long (--exact-nodes)";
  }
  text += fmt::format("\nsequences      {}, {} different, largest multiplicity {}, effectively {:.2f}\n", e.n,
                      m.distinct, m.largest, m.effective);
  text += fmt::format("redundancy     {:.4f}, the mean cosine of pairs of positions\n", m.redundancy);
  if (HasWeights(e)) text += fmt::format("iterations     {}, ended by {}\n", s.iterations, s.stop);
  return text;
}

}  // namespace

std::string ExplanationText(const Explanation& e, int columns) {
  const auto width = static_cast<size_t>(columns);
  std::string text = e.query + "\n";
  if (!e.query_text.empty()) text += "  " + Beginning(e.query_text, std::max<size_t>(width, 16) - 5) + "\n";
  text += fmt::format("{}: {} sequences out of the {} nearest of {}\n", e.method, e.n, e.pool, e.source);
  text += GuardText(e) + "\n" + Table(e, columns) + "\n" + Numbers(e);
  for (const Series& panel : Panels(e)) text += "\n" + TerminalPlot(panel, AxisOf(e), std::min(columns, 80));
  return text;
}

std::string ExplanationJson(const Explanation& e) {
  using Json = nlohmann::ordered_json;
  const select::Selection& s = e.selection;
  Json sequences = Json::array();
  for (const ExplainedSequence& sequence : e.sequences) {
    sequences.push_back({{"id", sequence.id},
                         {"score", sequence.score},
                         {"weight", sequence.weight},
                         {"count", sequence.count},
                         {"leaks", sequence.leaks},
                         {"text", sequence.text}});
  }
  Json json = {{"query", e.query},
               {"text", e.query_text},
               {"source", e.source},
               {"method", e.method},
               {"n", e.n},
               {"pool", e.pool},
               {"guard", e.guard},
               {"leak_threshold", e.leak_threshold},
               {"leak_marked", e.leak_marked},
               {"leak_dropped", e.leak_dropped},
               {"objective", s.objective},
               {"gap", s.gap},
               {"residual_norm", s.residual_norm},
               {"rounded_residual_norm", s.rounded_residual_norm},
               {"iterations", s.iterations},
               {"stop", s.stop}};
  json.update(MeasuresJson(s.measures));
  json.update({{"sequences", sequences}, {"objectives", s.objectives}, {"gaps", s.gaps}});
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string ExplanationSvg(const Explanation& e) {
  return SvgPlot(fmt::format("{}: {}, N = {}, pool {}", e.query, e.method, e.n, e.pool), Panels(e), AxisOf(e));
}

}  // namespace hullft::coordinator
