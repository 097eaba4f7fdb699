// One row of the journal: everything a run says about one query. Format on disk: docs/formats/journal.md.
// Doubles are written with the fewest digits that read back to the same bits. Thread safety: values, free functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "coordinator/select/measures.h"
#include "worker/adapter_options.h"

namespace hullft::coordinator {

// Wall-clock milliseconds of the stages of one query. embed, search and fetch are a round's time divided by its
// queries.
struct StageTimes {
  double embed = 0, search = 0, select = 0, fetch = 0, score_before = 0, tune = 0, score_after = 0;
  bool score_before_cached = false;  // the score was made for another row
  bool pool_shared = false;          // embed and search were made once for several rows of a grid, this not the first
  double ended = 0;                  // Unix time on the coordinator's clock; 0 in rows of older versions
  std::vector<double> tune_at = {};  // aligned with Row::marks: finetuning up to there
  double Total() const { return embed + search + select + fetch + score_before + tune + score_after; }
};

// Bits per byte of the query's document by both definitions (method: rolling windows; first window only), nats beside
// them.
struct Bpb {
  double rolling = 0, first_window = 0;
  double log_likelihood = 0, log_likelihood_first_window = 0;
};

// Scores with a prefix of the multiset (--score-at).
struct RowMark {
  int n = 0;  // of the multiset trained on, repeats counted
  int64_t steps = 0, gradients = 0;
  Bpb bpb;
};

struct Row {
  std::string key;     // hash of text, occurrence and every setting that matters
  int64_t query = 0;   // record number in the queries file, from 0
  std::string subset;  // meta.pile_set_name, or "all"
  std::string run;     // the setting of a grid; "" in a run of one
  bool ok = false;     // false: reason says why, and everything below may be empty
  std::string reason;

  std::string text_hash;        // HashHex of the query's text; "" in rows of older versions
  std::vector<uint64_t> ids;    // the support by falling weight
  std::vector<int> counts;      // aligned with ids; 0 where rounding gave none
  std::vector<double> weights;  // aligned with ids
  double objective = 0, gap = 0, residual_norm = 0, rounded_residual_norm = 0;
  int iterations = 0;
  std::string stop;
  std::optional<select::Measures> measures;  // rows of older versions have none
  int64_t pool = 0;     // sequences the selection chose from: K, fewer in a small corpus; all of them in global mode
  bool global = false;  // chosen from the whole corpus, not from the K nearest
  // Objective of the K nearest where both were run; what the pool cost is pool_objective - objective.
  std::optional<double> pool_objective;
  double coverage = 1;        // share of the corpus that answered
  std::string guard = "off";  // or "mark", "drop"
  double leak_threshold = 0;  // 0 when off
  // Candidates among the K nearest that leak; with drop those that were nearer than the pool's last sequence, all of
  // them left out. leak_trained: copies of marked ones in the multiset.
  int64_t leak_marked = 0, leak_dropped = 0, leak_trained = 0;

  Bpb before, after;
  std::vector<RowMark> marks;                  // by rising n
  int64_t bytes = 0, tokens = 0, windows = 0;  // of the query's document
  int64_t window = 0;  // tokens of one scoring window; windows do not overlap in what they score
  int64_t prefix_token = -1;
  int64_t steps = 0, gradients = 0, tokens_trained = 0;
  worker::AdapterOptions adapter;  // what was trained

  StageTimes ms;
  int worker = -1;  // world rank
  std::string host;
  int attempts = 1;
};

// One line of JSON without the line feed.
std::string ToJsonLine(const Row& row);
// Throws kData naming the missing or wrong field.
Row ParseRow(std::string_view line);

// The newest row of each key, a finished one before a failed one, ordered by (query, key): independent of the order in
// which the rows were written.
std::vector<Row> LatestRows(const std::vector<Row>& rows);

}  // namespace hullft::coordinator
