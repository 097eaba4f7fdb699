#include "coordinator/study/warnings.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace hullft::study {
namespace {

constexpr int64_t kFewQueries = 30;  // percentile intervals of fewer are too narrow (tests/common/statistics_test.cc)

void AboutRun(const RunData& run, std::vector<std::string>* warnings) {
  const auto add = [&](const std::string& text) { warnings->push_back(fmt::format("{}: {}", run.name, text)); };
  if (!run.failures.empty()) {
    const Failure& first = run.failures.front();
    add(fmt::format("{} of {} queries failed and are left out; the first (query {}): {}", run.failures.size(),
                    run.failures.size() + run.samples.size(), first.query, first.reason));
  }
  if (run.coverage < 1) {
    add(fmt::format(
        "only {:.2f}% of the corpus answered (the lowest of the rows): the nearest sequences may be missing",
        100 * run.coverage));
  }
  if (const auto search = run.provenance.find("search"); search != run.provenance.end() && !run.Option("index").empty())
    add("searches a part of the corpus only: " + search->second);
  if (run.leak_trained > 0) {
    add(fmt::format("trained on {} copies of sequences that share a long run with their query", run.leak_trained));
  }
  if (run.torn_bytes > 0) {
    add(
        fmt::format("the journal ends with {} bytes of an unfinished row, which are ignored: the run goes on, or was "
                    "killed",
                    run.torn_bytes));
  }
}

template <class Value>
std::set<std::string> Values(const Study& study, const Value& value) {
  std::set<std::string> values;
  for (const RunData& run : study.runs) values.insert(value(run));
  return values;
}

void AboutDifferences(const Study& study, std::vector<std::string>* warnings) {
  const auto provenance = [](const std::string& name) {
    return [name](const RunData& run) {
      const auto place = run.provenance.find(name);
      return place == run.provenance.end() ? std::string() : place->second;
    };
  };
  if (const auto versions = Values(study, provenance("version")); versions.size() > 1) {
    warnings->push_back(fmt::format("the runs are of {} versions of hullft: from {} to {}", versions.size(),
                                    *versions.begin(), *versions.rbegin()));
  }
  for (const char* what : {"host", "ranks", "threads_per_worker"}) {
    if (Values(study, provenance(what)).size() > 1)
      warnings->push_back(fmt::format("times are not comparable: the runs differ in {}", what));
  }
  if (Values(study, [](const RunData& run) { return run.Option("corpus"); }).size() > 1)
    warnings->push_back("the runs do not share one corpus");
  if (Values(study, [](const RunData& run) { return run.Option("index"); }).size() > 1)
    warnings->push_back("the runs do not search in the same way: their indexes or efforts differ");
  if (Values(study, [](const RunData& run) { return run.Option("--precision"); }).size() > 1)
    warnings->push_back("the runs differ in --precision, in their untuned scores too");
}

void AboutQueries(const Figures& figures, std::vector<std::string>* warnings) {
  const SubsetFigures& all = figures.subsets.back();
  if (all.left_out > 0) {
    warnings->push_back(fmt::format(
        "{} queries are finished in some of the cells only; tables and intervals are over the {} that all have",
        all.left_out, all.queries));
  }
  std::string few;
  for (const SubsetFigures& subset : figures.subsets) {
    if (subset.queries < kFewQueries)
      few += fmt::format("{}{} ({})", few.empty() ? "" : ", ", subset.subset, subset.queries);
  }
  if (!few.empty()) {
    warnings->push_back(
        fmt::format("few queries: {}. Bootstrap intervals of fewer than {} are too narrow", few, kFewQueries));
  }
}

}  // namespace

std::vector<std::string> WarningsOf(const Study& study, const Figures& figures) {
  std::vector<std::string> warnings;
  if (study.definition == Definition::kFirstWindow) {
    warnings.push_back(
        "bpb_first_window counts the first window only, over the bytes of the whole document: not bits per byte for "
        "longer ones");
  }
  if (figures.headline_n == 0) warnings.push_back("the series have no N in common: each is shown at its largest");
  const bool unguarded = std::ranges::all_of(study.runs, [](const RunData& run) { return run.guard == "off"; });
  if (unguarded)
    warnings.push_back(
        "leakage guard off, as in the paper: nobody looked whether sequences of the corpus hold queries");
  AboutQueries(figures, &warnings);
  AboutDifferences(study, &warnings);
  for (const RunData& run : study.runs) AboutRun(run, &warnings);
  return warnings;
}

}  // namespace hullft::study
