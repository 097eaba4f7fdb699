#include "coordinator/study/study.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <unordered_map>

#include "common/error.h"

namespace hullft::study {
namespace {

// Identities of what decides a score before any finetuning.
constexpr const char* kMustAgree[] = {"model", "tokenizer", "--max-length", "--prefix-token"};
// What says nothing about how a cell was made, or is its N.
const std::set<std::string> kNoName = {"--n", "--method", "--score-at", "corpus", "encoder", "query embeddings"};

void CheckTogether(const RunData& a, const RunData& b) {
  for (const char* name : kMustAgree) {
    if (a.Option(name) == b.Option(name)) continue;
    throw Error(Code::kUsage,
                fmt::format("{} and {} cannot be compared: {} is {} in one and {} in the other", a.folder.string(),
                            b.folder.string(), name, a.Option(name), b.Option(name)),
                "bits per byte of different models or windows are different quantities; report the runs one by one");
  }
  if (a.window != b.window || a.prefix_token != b.prefix_token) {
    throw Error(Code::kUsage,
                fmt::format("{} and {} cannot be compared: windows of {} tokens after token {}, and of {} after {}",
                            a.folder.string(), b.folder.string(), a.window, a.prefix_token, b.window, b.prefix_token),
                "report the runs one by one");
  }
}

// The same record number must be the same text in all runs.
void CheckQueries(const std::vector<RunData>& runs) {
  struct Seen {
    const Sample* sample;
    const RunData* run;
  };
  std::unordered_map<int64_t, Seen> first;
  for (const RunData& run : runs) {
    for (const Sample& sample : run.samples) {
      const Seen& seen = first.try_emplace(sample.query, Seen{&sample, &run}).first->second;
      const bool known = seen.sample->text != 0 && sample.text != 0;
      if (known ? seen.sample->text == sample.text : seen.sample->bytes == sample.bytes) continue;
      throw Error(Code::kUsage,
                  fmt::format("{} and {} cannot be compared: query {} is another text in each",
                              seen.run->folder.string(), run.folder.string(), sample.query),
                  "runs over different query files have nothing to pair; report them one by one");
    }
  }
}

std::vector<std::string> Differing(const std::vector<RunData>& runs) {
  std::set<std::string> names, differing;
  for (const RunData& run : runs) {
    for (const auto& [name, value] : run.identity) names.insert(name);
  }
  for (const std::string& name : names) {
    for (const RunData& run : runs) {
      if (run.Option(name) != runs.front().Option(name)) differing.insert(name);
    }
  }
  return {differing.begin(), differing.end()};
}

std::string SeriesName(const RunData& run, const std::vector<std::string>& differing) {
  std::string name = run.Option("--method").empty() ? run.name : run.Option("--method");
  for (const std::string& option : differing) {
    if (kNoName.contains(option)) continue;
    name += fmt::format(" {}={}", option.starts_with("--") ? option.substr(2) : option, run.Option(option));
  }
  return name;
}

std::set<int> MarksOf(const RunData& run) {
  std::set<int> marks;
  for (const Sample& sample : run.samples) {
    for (const MarkSample& mark : sample.marks) marks.insert(mark.n);
  }
  marks.erase(run.n());
  return marks;
}

// Names the runs; the same setting run twice is told apart by its folder.
std::vector<std::string> NamesOfRuns(const Study& study) {
  std::vector<std::string> names;
  for (const RunData& run : study.runs) names.push_back(SeriesName(run, study.differing));
  std::set<std::pair<std::string, int>> taken;
  std::set<std::string> twice;
  for (size_t r = 0; r < names.size(); ++r) {
    std::set<int> ns = MarksOf(study.runs[r]);
    ns.insert(study.runs[r].n());
    for (const int n : ns) {
      if (!taken.insert({names[r], n}).second) twice.insert(names[r]);
    }
  }
  for (size_t r = 0; r < names.size(); ++r) {
    if (twice.contains(names[r])) names[r] += fmt::format(" [{}]", study.runs[r].folder.string());
  }
  return names;
}

void MakeCells(Study* study) {
  const std::vector<std::string> names = NamesOfRuns(*study);
  for (const std::string& name : names) {
    if (std::ranges::find(study->series, name) == study->series.end()) study->series.push_back(name);
  }
  for (size_t r = 0; r < study->runs.size(); ++r) {
    const auto series = static_cast<size_t>(std::ranges::find(study->series, names[r]) - study->series.begin());
    for (const int n : MarksOf(study->runs[r])) study->cells.push_back({r, series, n, n});
    study->cells.push_back({r, series, study->runs[r].n(), -1});
  }
  std::ranges::stable_sort(study->cells, [](const Cell& a, const Cell& b) {
    return a.series != b.series ? a.series < b.series : a.n < b.n;
  });
}

}  // namespace

Study MakeStudy(std::vector<RunData> runs, Definition definition) {
  HULLFT_CHECK(!runs.empty());
  Study study;
  study.definition = definition;
  study.runs = std::move(runs);
  for (size_t r = 1; r < study.runs.size(); ++r) CheckTogether(study.runs[0], study.runs[r]);
  CheckQueries(study.runs);
  study.differing = Differing(study.runs);
  MakeCells(&study);
  std::set<std::string> subsets;
  for (const RunData& run : study.runs) subsets.insert(run.subsets.begin(), run.subsets.end());
  study.subsets.assign(subsets.begin(), subsets.end());
  return study;
}

bool ScoreAt(const Sample& sample, const Cell& cell, CellScore* score) {
  if (cell.mark < 0) {
    *score = {sample.after, sample.ms[kTune]};
    return true;
  }
  const auto mark = std::ranges::find(sample.marks, cell.mark, &MarkSample::n);
  if (mark == sample.marks.end()) return false;
  *score = {mark->after, mark->tune_ms};
  return true;
}

std::string CellName(const Study& study, const Cell& cell) {
  return fmt::format("{}, N = {}", study.series[cell.series], cell.n);
}

}  // namespace hullft::study
