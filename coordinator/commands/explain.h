// `hullft select --explain`: one query's selection, from a corpus or from arrays, for a person to read.
#pragma once

#include <string>

#include "coordinator/explanation.h"
#include "coordinator/selection_flags.h"

namespace hullft::coordinator {

struct ExplainSettings {
  bool explain = false;
  std::string corpus, encoder, prompt, query_embeddings, queries, query_text, model;  // see the flags
  int64_t query = 0;  // record of --queries, row of --targets
  int k = 200, margin = 32, columns = 100;
  std::string guard = "off", svg;
  double leak_threshold = 0.5;

  void Bind(OptionTable* table);
  // All faults of what was given together, "" when there is none.
  std::string Faults(bool arrays) const;
};

// The pool of one query of a corpus, as `hullft run` makes it, and the selection from it.
Explanation ExplainFromCorpus(const ExplainSettings& settings, const SelectionFlags& flags, int threads);
// From one pool of numbers: no texts, ids are rows.
Explanation ExplainFromPool(const select::Pool& pool, const ExplainSettings& settings, const SelectionFlags& flags,
                            const std::string& source, const std::string& targets);

// Writes --svg and prints the explanation, as JSON or for a terminal.
void PrintExplanation(const Explanation& explanation, const ExplainSettings& settings, bool json);

}  // namespace hullft::coordinator
