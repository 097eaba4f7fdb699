#include "coordinator/study/paired.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace hullft::study {

double Percent(double after, double before) {
  return before > 0 ? 100 * after / before : 0.0;
}

CommonQueries FindCommon(const Study& study, const std::string& subset) {
  std::map<int64_t, std::vector<const Sample*>> by_query;
  for (size_t r = 0; r < study.runs.size(); ++r) {
    const RunData& run = study.runs[r];
    for (const Sample& sample : run.samples) {
      if (!subset.empty() && run.subsets[static_cast<size_t>(sample.subset)] != subset) continue;
      auto& entry = by_query[sample.query];
      entry.resize(study.runs.size());
      entry[r] = &sample;
    }
  }
  CommonQueries common;
  for (auto& [query, samples] : by_query) {
    const bool complete = std::ranges::all_of(study.cells, [&](const Cell& cell) {
      CellScore unused;
      return samples[cell.run] != nullptr && ScoreAt(*samples[cell.run], cell, &unused);
    });
    if (complete) {
      common.samples.push_back(std::move(samples));
    } else {
      ++common.left_out;
    }
  }
  return common;
}

PairedValues ScoresOf(const Study& study, const CommonQueries& common) {
  PairedValues paired{study.runs.size() + study.cells.size(), {}};
  paired.values.reserve(common.samples.size() * paired.columns);
  for (const auto& samples : common.samples) {
    for (const Sample* sample : samples) paired.values.push_back(sample->before);
    for (const Cell& cell : study.cells) {
      CellScore score;
      ScoreAt(*samples[cell.run], cell, &score);
      paired.values.push_back(score.after);
    }
  }
  return paired;
}

std::vector<std::vector<double>> PercentDraws(const Study& study, const PairedValues& paired, int threads) {
  const std::vector<double> means = BootstrapMeans(paired, kDraws, kSeed, threads);
  std::vector<std::vector<double>> percents(study.cells.size(), std::vector<double>(kDraws));
  for (size_t d = 0; d < kDraws; ++d) {
    const double* draw = means.data() + d * paired.columns;
    for (size_t c = 0; c < study.cells.size(); ++c)
      percents[c][d] = Percent(draw[study.runs.size() + c], draw[study.cells[c].run]);
  }
  return percents;
}

double PairedPValue(std::span<const double> differences, size_t queries) {
  return std::max(BootstrapPValue(differences), std::exp2(1.0 - static_cast<double>(queries)));
}

}  // namespace hullft::study
