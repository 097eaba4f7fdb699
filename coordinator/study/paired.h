// Queries that every cell of a study has finished, and the bootstrap over them. Thread safety: free functions.
#pragma once

#include <string>
#include <vector>

#include "common/statistics.h"
#include "coordinator/study/study.h"

namespace hullft::study {

inline constexpr int kDraws = 2000;
inline constexpr uint64_t kSeed = 42;

// 100 * after / before; 0 where there is nothing to divide by.
double Percent(double after, double before);

struct CommonQueries {
  std::vector<std::vector<const Sample*>> samples;  // [query][run], by rising query number; they point into the study
  int64_t left_out = 0;                             // queries that some cells only have finished
};
// subset: "" for all.
CommonQueries FindCommon(const Study& study, const std::string& subset);

// Columns: BPB before of each run, then BPB after of each cell.
PairedValues ScoresOf(const Study& study, const CommonQueries& common);

// Per cent of untuned in each of kDraws draws: [cell][draw]. All cells of a draw have the same queries.
std::vector<std::vector<double>> PercentDraws(const Study& study, const PairedValues& paired, int threads);

// Two-sided p-value of "no difference" from the differences in the draws: BootstrapPValue, but never below 2^(1 -
// queries), the least that a sign test could say: the draws of one query, all alike, prove nothing.
double PairedPValue(std::span<const double> differences, size_t queries);

}  // namespace hullft::study
