// Two cells, query by query. Thread safety: free functions.
#pragma once

#include <string>
#include <vector>

#include "coordinator/study/table.h"

namespace hullft::study {

struct PairedDifference {  // of a subset; "all" for the last
  std::string subset;
  int64_t queries = 0;
  double percent_a = 0, percent_b = 0;  // of untuned
  double difference = 0;                // percent_b - percent_a: below 0, B is better
  Interval interval;                    // 95%, paired bootstrap
  double p = 1;                         // two-sided, corrected by Holm over the subsets (not over "all")
  int64_t a_better = 0, b_better = 0;   // queries whose BPB after is lower; the others are equal
};

struct Comparison {
  Study study;  // of both runs, with the two cells alone
  std::vector<PairedDifference> subsets;
  int64_t only_one = 0;  // queries that one run only has finished
};

// Compares run A and run B at N = n (0: the largest that both have). Throws kUsage where MakeStudy does, and when the
// runs have not finished the same queries, unless common_only.
Comparison Compare(RunData a, RunData b, Definition definition, int n, bool common_only, int threads);

Table ComparisonTable(const Comparison& comparison);
// The options in which the two differ, a line each.
std::string DifferingText(const Comparison& comparison);

}  // namespace hullft::study
