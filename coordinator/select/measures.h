// Numbers that let a person judge a selection (docs/method.md, section 4). Thread safety: values, free functions.
#pragma once

#include <optional>
#include <span>

namespace hullft::select {

// The multiset has N positions, count c_i of them for sequence i; shares are c_i / N.
struct Measures {
  int support = 0;       // sequences with a weight, cut to N (not hullft: distinct picks)
  int distinct = 0;      // of these, sequences with a count: what is trained on
  int largest = 0;       // the largest count
  double effective = 0;  // 1 / sum of squared shares: N different sequences give N, one sequence N times 1
  // Mean cosine over pairs of different positions, so that copies of a sequence count as cosine 1; 0 for N = 1. A zero
  // vector's cosine with anything is 0.
  double redundancy = 0;
  double rounding_loss = 0;  // 1/2 ||t - sum share x||^2 minus the objective: what rounding the weights cost
  // 1/2 ||t - sum share x||^2 minus the least of all counts over the support (hullft, where the search for it ended).
  std::optional<double> rounding_gap;
};

// The fields that follow from the counts alone: all but redundancy and rounding_loss.
Measures CountMeasures(std::span<const int> counts);

// gram: m x m, row-major, of the support.
double RedundancyOfGram(std::span<const double> gram, std::span<const int> counts);
// rows float32 [k][d]; support [m]: rows of it.
double RedundancyOfRows(std::span<const float> rows, int d, std::span<const int> support, std::span<const int> counts);

}  // namespace hullft::select
