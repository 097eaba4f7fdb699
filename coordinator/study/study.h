// Several runs looked at together: which of them may be, and what they are called. A *cell* is one setting that was
// scored: a run at its --n, or at one of its --score-at. Cells that differ in N alone are one *series*.
// Thread safety: values, free functions.
#pragma once

#include <string>
#include <vector>

#include "coordinator/study/run_data.h"

namespace hullft::study {

struct Cell {
  size_t run = 0;
  size_t series = 0;
  int n = 0;
  int mark = -1;  // of --score-at; -1: the run's own --n
};

struct Study {
  Definition definition = Definition::kRolling;
  std::vector<RunData> runs;
  std::vector<std::string> series;  // names: the method and the options in which the runs differ
  std::vector<Cell> cells;          // by series, then n
  std::vector<std::string> subsets;
  std::vector<std::string> differing;  // options that the runs do not share
};

// Throws kUsage, naming both runs and what differs, when their bits per byte cannot be compared: another model or
// tokenizer, window or prefix token, or other queries under the same numbers.
Study MakeStudy(std::vector<RunData> runs, Definition definition);

// The score of a sample at a cell; nothing when it has none there. And the milliseconds of finetuning up to there.
struct CellScore {
  double after = 0, tune_ms = 0;
};
bool ScoreAt(const Sample& sample, const Cell& cell, CellScore* score);

// "hullft, N = 10".
std::string CellName(const Study& study, const Cell& cell);

}  // namespace hullft::study
