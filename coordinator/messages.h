// What the coordinator and the roles of a run say to each other, and under which tags (docs/formats/wire.md describes
// the envelope, round_messages.h what shards say to each other).
//
//   coordinator -> worker       EmbedJob, TuneJob, Stop                                                tag kToWorker
//   coordinator -> shard        RoundJob (first shard only), Stop                                      tag kToShard
//   worker      -> first shard  Targets                                                                tag kToShard
//   any         -> coordinator  EmbedDone, Selected, StageEvent, TuneDone, Bye, Damaged, Fatal, StopRequest
//                                                                                                tag kToCoordinator
//
// A message whose checksum does not fit is asked for again (Damaged, SayAgain). Texts, tokens and embeddings carry
// checksums of their own besides, from where they were first known to where they are used.
//
// The coordinator sees texts, tokens and numbers of queries, never a vector. Thread safety: values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/comm/communicator.h"
#include "common/comm/wire.h"
#include "coordinator/message_types.h"
#include "coordinator/row.h"

namespace hullft::coordinator {

using comm::wire::Failure;

// The code of a Failure that says: bytes are not those that were read or sent first. Doing it again helps.
inline constexpr const char* kDamagedCode = "damaged";

enum Tag : int {
  kToCoordinator = 100,
  kToShard,
  kToWorker,
  kCandidates,
  kVectorIds,
  kVectors,
  kAgain,
  kTokenIds,
  kTokens,
  kRoundFailed,
  kBests,
  kWinners,
  kLeakIds,
  kLeakMarks,
  kSayAgain,
};

struct EmbedJob {
  static constexpr uint16_t kType = message_type::kEmbedJob;
  int64_t round = 0;
  std::vector<int64_t> queries;
  std::vector<std::string> texts, text_hashes;  // HashHex of each
  template <class A>
  void Wire(A& a) {
    a(round, queries, texts, text_hashes);
  }
};

struct EmbedDone {
  static constexpr uint16_t kType = message_type::kEmbedDone;
  int64_t round = 0;
  double ms = 0;
  std::vector<std::pair<int64_t, std::string>> failed;  // query, reason
  template <class A>
  void Wire(A& a) {
    a(round, ms, failed);
  }
};

struct Targets {
  static constexpr uint16_t kType = message_type::kTargets;
  int64_t round = 0;
  std::vector<int64_t> queries;
  std::vector<float> values;  // [queries][d]
  template <class A>
  void Wire(A& a) {
    a(round, queries, values);
  }
};

struct RoundQuery {
  int64_t query = 0;      // index among the run's queries
  int64_t record = 0;     // row of --query-embeddings
  std::string text_hash;  // what the method random draws by
  std::string text;       // with --guard mark or drop, and its tokens: what candidates are compared with
  std::vector<int32_t> tokens;
  std::vector<int> settings;  // which of the run's settings (RunSettings::Grid) are wanted; empty: all
  template <class A>
  void Wire(A& a) {
    a(query, record, text_hash, text, tokens, settings);
  }
};

struct RoundJob {
  static constexpr uint16_t kType = message_type::kRoundJob;
  int64_t round = 0;
  std::vector<RoundQuery> queries;
  template <class A>
  void Wire(A& a) {
    a(round, queries);
  }
};

struct Training {
  std::vector<int32_t> tokens;
  int count = 0;
  uint64_t sum = 0;  // of the tokens, from the corpus: the worker compares
  template <class A>
  void Wire(A& a) {
    a(tokens, count, sum);
  }
};

// The outcome of a round for one query and setting.
struct Selected {
  static constexpr uint16_t kType = message_type::kSelected;
  int64_t query = 0;
  int setting = 0;           // index into RunSettings::Grid
  bool pool_shared = false;  // the pool was made for another setting of the query
  std::optional<Failure> failure;
  std::vector<uint64_t> ids;
  std::vector<int> counts;
  std::vector<double> weights;
  double objective = 0, gap = 0, residual_norm = 0, rounded_residual_norm = 0;
  int iterations = 0;
  std::string stop;
  select::Measures measures;
  int64_t pool = 0;
  bool global = false;                   // chosen from the whole corpus
  std::optional<double> pool_objective;  // of the K nearest, where both were run
  double coverage = 1;
  int64_t leak_marked = 0, leak_dropped = 0, leak_trained = 0;  // see Row
  double search_ms = 0, select_ms = 0, fetch_ms = 0;
  std::vector<Training> training;  // in the order of finetuning
  template <class A>
  void Wire(A& a) {
    a(query, setting, pool_shared, failure, ids, counts, weights, objective, gap, residual_norm, rounded_residual_norm,
      iterations, stop, measures.support, measures.distinct, measures.largest, measures.effective, measures.redundancy,
      measures.rounding_loss, measures.rounding_gap, pool, global, pool_objective, coverage, leak_marked, leak_dropped,
      leak_trained, search_ms, select_ms, fetch_ms, training);
  }
};

struct WireBpb {
  double rolling = 0, first_window = 0, log_likelihood = 0, log_likelihood_first_window = 0;
  template <class A>
  void Wire(A& a) {
    a(rolling, first_window, log_likelihood, log_likelihood_first_window);
  }
};

// The query's score with the base weights, as an earlier run had it.
struct UntunedScore {
  WireBpb bpb;
  int64_t tokens = 0, windows = 0;
  template <class A>
  void Wire(A& a) {
    a(bpb, tokens, windows);
  }
};

struct TuneJob {
  static constexpr uint16_t kType = message_type::kTuneJob;
  int64_t query = 0;
  int setting = 0;
  std::string text, text_hash;  // HashHex of it
  std::vector<Training> training;
  std::optional<UntunedScore> untuned;  // from --score-cache
  template <class A>
  void Wire(A& a) {
    a(query, setting, text, text_hash, training, untuned);
  }
};

// Scores when the first n of the multiset were trained on (--score-at).
struct WireMark {
  int n = 0;
  int64_t steps = 0, gradients = 0;
  double tune_ms = 0;
  WireBpb bpb;
  template <class A>
  void Wire(A& a) {
    a(n, steps, gradients, tune_ms, bpb);
  }
};

struct TuneDone {
  static constexpr uint16_t kType = message_type::kTuneDone;
  int64_t query = 0;
  int setting = 0;
  std::optional<Failure> failure;
  WireBpb before, after;
  std::vector<WireMark> marks;
  bool untuned_given = false;  // `before` is what the job brought
  int64_t bytes = 0, tokens = 0, windows = 0, prefix_token = -1, steps = 0, gradients = 0, tokens_trained = 0;
  double score_before_ms = 0, tune_ms = 0, score_after_ms = 0;
  template <class A>
  void Wire(A& a) {
    a(query, setting, failure, before, after, marks, untuned_given, bytes, tokens, windows, prefix_token, steps,
      gradients, tokens_trained, score_before_ms, tune_ms, score_after_ms);
  }
};

// Where a worker is with a task.
enum class Stage : uint8_t { kReceived, kScoringBefore, kTuning, kScoringAfter };

// Sent now and then while a worker works, for the progress display; nothing depends on it. TuneDone ends a task.
struct StageEvent {
  static constexpr uint16_t kType = message_type::kStageEvent;
  int64_t query = 0;
  Stage stage = Stage::kReceived;
  int64_t step = 0, steps = 0;  // optimizer steps done, and in all; 0 outside of tuning
  template <class A>
  void Wire(A& a) {
    a(query, stage, step, steps);
  }
};

// The end of the run: finish what is being worked on, leave what waits, answer with Bye.
struct Stop {
  static constexpr uint16_t kType = message_type::kStop;
  template <class A>
  void Wire(A&) {}
};

// A role's last message, with what its rank has sent and received since it started.
struct Bye {
  static constexpr uint16_t kType = message_type::kBye;
  bool worker = true;  // or shard
  int64_t messages_sent = 0, messages_received = 0, bytes_sent = 0, bytes_received = 0;
  template <class A>
  void Wire(A& a) {
    a(worker, messages_sent, messages_received, bytes_sent, bytes_received);
  }
};

// A message to this role was not what had been sent. A worker says what it has, and is sent the rest again; the first
// shard's rounds are asked for again.
struct Damaged {
  static constexpr uint16_t kType = message_type::kDamaged;
  bool worker = true;                          // or shard
  std::vector<std::pair<int64_t, int>> tasks;  // a worker's: query and setting to finetune for
  std::vector<int64_t> rounds;                 // a worker's: to embed for
  template <class A>
  void Wire(A& a) {
    a(worker, tasks, rounds);
  }
};

// A role cannot go on: the run ends with this error.
struct Fatal {
  static constexpr uint16_t kType = message_type::kFatal;
  Failure failure;
  template <class A>
  void Wire(A& a) {
    a(failure);
  }
};

// A signal came to a rank that is not the coordinator's.
struct StopRequest {
  static constexpr uint16_t kType = message_type::kStopRequest;
  int signal = 0;
  template <class A>
  void Wire(A& a) {
    a(signal);
  }
};

}  // namespace hullft::coordinator
