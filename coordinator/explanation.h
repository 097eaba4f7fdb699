// A selection as a person wants to read it: what was chosen for one query, how near it comes, and how it got there.
// Thread safety: values, free functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/plot.h"
#include "coordinator/select/select.h"

namespace hullft::coordinator {

struct ExplainedSequence {
  uint64_t id = 0;   // global id, or the row of a pool without a corpus
  double score = 0;  // <x, t>
  double weight = 0;
  int count = 0;
  bool leaks = false;  // marked by the guard
  std::string text;    // whole; "" when the pool has none
};

struct Explanation {
  std::string query, query_text;  // which query, for a heading; its text, "" when there is none
  std::string source;             // of the pool, for the heading
  std::string method;
  int n = 0;
  int64_t pool = 0;
  std::string guard = "off";
  double leak_threshold = 0;
  int64_t leak_marked = 0, leak_dropped = 0;
  select::Selection selection;               // with its trace
  std::vector<ExplainedSequence> sequences;  // the support, in its order
};

// The table, the numbers and the plots, for a terminal of so many columns.
std::string ExplanationText(const Explanation& explanation, int columns);
// The same as one JSON object; docs/formats/explanation.md.
std::string ExplanationJson(const Explanation& explanation);
// The convergence: a panel for the objective, one for the gap where the method has one.
std::string ExplanationSvg(const Explanation& explanation);

}  // namespace hullft::coordinator
