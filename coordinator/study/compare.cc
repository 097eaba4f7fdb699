#include "coordinator/study/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "common/error.h"
#include "common/printable.h"

namespace hullft::study {
namespace {

// The two cells at n, or at the largest N that both runs have; nothing else is left in the study.
void KeepTwoCells(Study* study, int n) {
  std::map<int, std::vector<Cell>> by_n;
  for (const Cell& cell : study->cells) by_n[cell.n].push_back(cell);
  std::erase_if(by_n, [&](const auto& entry) {
    const bool both = std::ranges::any_of(entry.second, [](const Cell& cell) { return cell.run == 0; }) &&
                      std::ranges::any_of(entry.second, [](const Cell& cell) { return cell.run == 1; });
    return !both || (n > 0 && entry.first != n);
  });
  if (by_n.empty()) {
    throw Error(Code::kUsage,
                n > 0 ? fmt::format("the runs are not both scored at N = {}", n)
                      : fmt::format("the runs share no N: {} and {}", study->runs[0].n(), study->runs[1].n()),
                "compare runs to the same --n, or with --score-at");
  }
  study->cells = by_n.rbegin()->second;
  std::ranges::sort(study->cells, {}, &Cell::run);
}

PairedDifference DifferenceOf(const Study& study, const std::string& subset, int threads, double* raw_p) {
  PairedDifference result;
  result.subset = subset.empty() ? "all" : subset;
  const CommonQueries common = FindCommon(study, subset);
  result.queries = static_cast<int64_t>(common.samples.size());
  *raw_p = 1;
  if (common.samples.empty()) return result;
  const PairedValues paired = ScoresOf(study, common);  // before A, before B, after A, after B
  const std::vector<double> means = paired.Means();
  result.percent_a = Percent(means[2], means[0]);
  result.percent_b = Percent(means[3], means[1]);
  result.difference = result.percent_b - result.percent_a;
  for (size_t q = 0; q < paired.queries(); ++q) {
    const double* row = paired.values.data() + q * paired.columns;
    result.a_better += row[2] < row[3];
    result.b_better += row[3] < row[2];
  }
  const auto draws = PercentDraws(study, paired, threads);
  std::vector<double> differences(kDraws);
  for (size_t d = 0; d < differences.size(); ++d) differences[d] = draws[1][d] - draws[0][d];
  *raw_p = PairedPValue(differences, paired.queries());
  result.interval = Middle95(std::move(differences));
  return result;
}

}  // namespace

Comparison Compare(RunData a, RunData b, Definition definition, int n, bool common_only, int threads) {
  Comparison comparison;
  std::vector<RunData> runs;
  runs.push_back(std::move(a));
  runs.push_back(std::move(b));
  comparison.study = MakeStudy(std::move(runs), definition);
  Study& study = comparison.study;
  KeepTwoCells(&study, n);
  comparison.only_one = FindCommon(study, "").left_out;
  if (comparison.only_one > 0 && !common_only) {
    throw Error(Code::kUsage,
                fmt::format("{} queries are finished in one of {} and {} only", comparison.only_one,
                            study.runs[0].folder.string(), study.runs[1].folder.string()),
                "let both runs finish the same queries, or compare the others with --common");
  }
  std::vector<double> p_values;
  double p = 1;
  if (study.subsets.size() > 1) {
    for (const std::string& subset : study.subsets) {
      comparison.subsets.push_back(DifferenceOf(study, subset, threads, &p));
      p_values.push_back(p);
    }
  }
  const std::vector<double> adjusted = HolmAdjusted(p_values);
  for (size_t s = 0; s < adjusted.size(); ++s) comparison.subsets[s].p = adjusted[s];
  comparison.subsets.push_back(DifferenceOf(study, "", threads, &p));
  comparison.subsets.back().p = p;
  if (comparison.subsets.back().queries == 0) {
    throw Error(Code::kUsage, "no query is finished in both runs: there is nothing to compare", "let them go on");
  }
  return comparison;
}

Table ComparisonTable(const Comparison& comparison) {
  const Study& study = comparison.study;
  Table table{
      fmt::format("A: {} ({}), B: {} ({}); {} as per cent of untuned, 95% paired bootstrap intervals, p corrected "
                  "by Holm over the subsets",
                  CellName(study, study.cells[0]), study.runs[0].folder.string(), CellName(study, study.cells[1]),
                  study.runs[1].folder.string(), DefinitionName(study.definition)),
      {"subset", "queries", "A", "B", "B - A", "low", "high", "p", "A better", "B better"},
      {}};
  for (const PairedDifference& line : comparison.subsets) {
    if (line.queries == 0) continue;
    table.rows.push_back({line.subset, std::to_string(line.queries),
                          TableCell(fmt::format("{:.2f}", line.percent_a), line.difference > 0),
                          TableCell(fmt::format("{:.2f}", line.percent_b), line.difference < 0),
                          fmt::format("{:+.2f}", line.difference), fmt::format("{:+.2f}", line.interval.low),
                          fmt::format("{:+.2f}", line.interval.high), fmt::format("{:.3f}", line.p),
                          std::to_string(line.a_better), std::to_string(line.b_better)});
  }
  return table;
}

std::string DifferingText(const Comparison& comparison) {
  const Study& study = comparison.study;
  std::string text;
  for (const std::string& name : study.differing)
    text += fmt::format("differs: {}: {} and {}\n", PrintableLine(name), PrintableLine(study.runs[0].Option(name)),
                        PrintableLine(study.runs[1].Option(name)));
  if (comparison.only_one > 0)
    text += fmt::format("left out: {} queries that one run only has finished\n", comparison.only_one);
  return text;
}

}  // namespace hullft::study
