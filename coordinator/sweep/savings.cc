#include "coordinator/sweep/savings.h"

#include <algorithm>
#include <map>

namespace hullft::coordinator {
namespace {
constexpr size_t kSelect = 2, kScoreBefore = 5, kScoreAfter = 6;  // of study::kStageNames

double TuneMs(const study::Sample& sample, int n) {
  const auto mark = std::ranges::find(sample.marks, n, &study::MarkSample::n);
  return mark == sample.marks.end() ? sample.ms[study::kTune] : mark->tune_ms;
}
}  // namespace

Savings SavingsOf(const Sweep& sweep, const std::vector<study::RunData>& runs) {
  Savings savings;
  std::map<int64_t, double> untuned_ms;  // by query: of a run that computed it
  for (const study::RunData& run : runs) {
    for (const study::Sample& sample : run.samples) {
      for (size_t s = sample.pool_shared ? kSelect : 0; s < sample.ms.size(); ++s) savings.spent_ms += sample.ms[s];
      savings.pools += !sample.pool_shared;
      untuned_ms[sample.query] = std::max(untuned_ms[sample.query], sample.ms[kScoreBefore]);
      savings.untuned_computed += sample.ms[kScoreBefore] > 0;
    }
  }
  for (const SweepCell& cell : sweep.cells) {
    for (const study::Sample& sample : runs[cell.run].samples) {
      for (size_t s = 0; s < study::kTune; ++s) savings.alone_ms += sample.ms[s];
      // One score of those that were made on the way and at the end.
      const auto scores = static_cast<double>(std::max<size_t>(1, sample.marks.size()));
      savings.alone_ms += TuneMs(sample, cell.n) + sample.ms[kScoreAfter] / scores + untuned_ms[sample.query];
      ++savings.untuned_scores;
    }
  }
  return savings;
}

}  // namespace hullft::coordinator
