// One round: the shards answer a batch of queries together, each query's owner chooses its multiset
// (docs/architecture.md, "The way of one query").
//
// Letters: S shards, B queries of the round, K pool size, C = K + margin candidates, d width. Query q of the round
// belongs to shard q mod S. All steps are all-to-all exchanges of one message per pair of shards:
//   1. each shard searches its partitions for the C best of every query; the lists go to the owners   16 S C bytes a
//   query
//   2. the owner merges them, keeps the C best and asks the shards that hold these for their embeddings    4 d C bytes
//   3. it scores them again in float64 and cuts to K. The library's rounding may have kept a sequence out that belongs
//   to
//      the K only if its score lies within that rounding of the last candidate's: then this query is searched again
//      with four times as many candidates, until it cannot. So the pool is the K nearest exactly, however sequences are
//      dealt out, as long as the index itself searches exhaustively.
//      With a guard, the shards that hold the candidates compare their texts with the query's (round_guard.cc): 16
//      bytes and the answer's one a candidate, besides the query's text and tokens that came with the round. With kDrop
//      the pool is the K nearest of those that pass, and is searched deeper until it is.
//   4. it selects, and collects the tokens of the chosen sequences
// With PoolMode::kGlobal steps 1 to 3 are replaced by Frank-Wolfe over the whole corpus: every shard follows every
// query's trajectory (select/trajectory.h), and per iteration, for all queries that are not finished together,
//   a. asks its oracle and tells the others its best (score, id)    16 bytes a query and pair of shards
//   b. the shards that hold the winners send their vectors to all    4 d bytes a query and receiver
// so that all go on alike. kBoth does both and trains on the global choice.
// Cost besides: one empty message per pair and step. Thread safety: one thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/comm/communicator.h"
#include "coordinator/leakage.h"
#include "coordinator/oracle.h"
#include "coordinator/round_messages.h"
#include "coordinator/select/select.h"
#include "index/corpus.h"

namespace hullft::coordinator {

// What HullFT chooses from: the K nearest, the whole corpus, or both to compare.
enum class PoolMode { kKnn, kGlobal, kBoth };

struct RoundSettings {
  PoolMode pool = PoolMode::kKnn;
  int64_t sequences = 0;  // of the corpus as far as it is open, for the row
  int k = 200, margin = 32;
  GuardMode guard = GuardMode::kOff;
  double leak_threshold = 0.5;
  std::vector<select::SelectOptions> selects = {{}};  // by setting; more than one only with PoolMode::kKnn
  int threads = 1;                                    // for searching and selecting
  int search_effort = 0;                              // index::SearchOptions
  double coverage = 1;                                // share of the corpus that the shards have open
  std::chrono::milliseconds wait{600'000};            // for another shard's part, before it is an error that names it
};

// A pool as the selection gets it.
struct QueryPool {
  std::vector<uint64_t> ids;   // by (score descending, id ascending)
  std::vector<double> scores;  // aligned
  std::vector<float> rows;     // [ids][d]
  std::vector<uint8_t> leaks;  // aligned: 1 where the guard marked; empty without a guard
  int64_t marked = 0, dropped = 0;
};

class Round {
 public:
  // shards: world rank of each shard; `self` is this one's place there. partitions: what this shard has open; must
  // outlive the Round.
  Round(comm::Communicator& world, std::vector<int> shards, int self,
        std::span<const std::unique_ptr<index::Partition>> partitions, RoundSettings settings);
  ~Round();

  // Collective over the shards, with the same work on each. Returns the outcomes of this shard's own queries, one for
  // each setting that is wanted; pools and Gram columns are made once for all of them. A query
  // that cannot be selected for has a failure in its outcome; anything else (storage, a peer) is thrown, on the other
  // shards as a kPeer or as this shard's own error, and the Round is of no more use.
  std::vector<Selected> Run(const RoundWork& work);
  // Collective like Run: steps 1 to 3 only, the pools of this shard's own queries in their order.
  std::vector<QueryPool> Pools(const RoundWork& work);
  // Sends what another shard asks for again (SayAgain). Run does this by itself; between two runs it is the caller's.
  void Repeat(const comm::Envelope& request);
  // Asks the sender for a message that came damaged. Throws kPeer for what cannot be sent again.
  void AskAgain(const comm::Envelope& damaged);
  // The first shard: sends the work to the other shards.
  void Announce(const RoundWork& work);

 private:
  struct Own;  // what the owner knows of one of its queries
  std::vector<Selected> RunSteps(const RoundWork& work);
  std::vector<Selected> SelectFor(const RoundWork& work, int setting, double search_ms, std::vector<Own>* own);
  template <class Function>
  auto TellFailures(const Function& body);
  std::vector<Own> OwnQueries(const RoundWork& work) const;
  void BuildAllPools(const RoundWork& work, std::vector<Own>* own);
  std::vector<Candidates> Search(const RoundWork& work, std::span<const int64_t> active, int depth) const;
  std::vector<int64_t> BuildPools(const RoundWork& work, std::span<const int64_t> active, int depth,
                                  std::vector<Own>* own);
  bool SettlePool(const RoundWork& work, Own* query) const;
  void FetchVectors(std::vector<Own*>& wanted);
  void FetchMarks(const RoundWork& work, std::vector<Own*>& wanted);
  LeakMarks Compare(const RoundWork& work, const LeakQuestions& questions) const;
  void Choose(const RoundWork& work, const select::SelectOptions& options, std::vector<Own>* own) const;
  void ChooseGlobally(const RoundWork& work, std::vector<Own>* own);
  void FetchTokens(std::vector<Own>* own);
  void ByHolder(std::span<const uint64_t> ids,
                const std::function<void(const index::Partition&, std::span<const index::SequenceId> ids,
                                         std::span<const size_t> places)>& read) const;
  template <class T>
  std::vector<T> Exchange(int tag, std::vector<T> out);
  void SendAll(int tag, std::vector<std::string> payloads);

  comm::Communicator& world_;
  const std::vector<int> shards_;
  const int self_;
  const std::span<const std::unique_ptr<index::Partition>> partitions_;
  const RoundSettings settings_;
  const int dim_;
  std::unique_ptr<Oracle> oracle_;  // made when it is first asked
  // What was sent last, tag and payload by shard, for those to whom it came damaged. In lockstep nobody is further
  // behind.
  std::deque<std::pair<int, std::vector<std::string>>> sent_;
};

}  // namespace hullft::coordinator
