// What a shard and a worker do from their first message to Stop. Each runs on a thread of its own; the coordinator's
// part is coordinator.h. An exception that leaves Run ends the run (run_rank.cc tells the coordinator).
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/comm/communicator.h"
#include "common/npy.h"
#include "common/tokenizer/tokenizer.h"
#include "coordinator/layout.h"
#include "coordinator/messages.h"
#include "coordinator/round.h"
#include "coordinator/settings.h"
#include "coordinator/test_hooks.h"
#include "index/corpus.h"
#include "worker/encoder.h"
#include "worker/load_tuner.h"
#include "worker/tuner.h"

namespace hullft::coordinator {

class ShardRole {
 public:
  // Opens the partitions that the layout gives this rank (with --stage, copies on its own disk), and on the first shard
  // --query-embeddings.
  ShardRole(comm::Communicator& world, const Layout& layout, const RunSettings& settings,
            const index::CorpusInfo& corpus, int threads);
  int64_t open_sequences() const;
  // Share of the corpus that all shards have open: once, before Run.
  void SetCoverage(double coverage);
  void Run();

 private:
  void Handle(const comm::Envelope& envelope);
  void StartRounds();  // first shard: of the jobs whose targets have come
  std::vector<float> StoredTargets(const RoundJob& job) const;
  void DoRound(const RoundWork& work);

  comm::Communicator& world_;
  const std::vector<int> shards_;
  const int self_, dim_;
  std::vector<std::unique_ptr<index::Partition>> partitions_;
  std::unique_ptr<NpyFile> stored_;  // first shard, with --query-embeddings
  RoundSettings round_settings_;
  std::unique_ptr<Round> round_;
  std::deque<RoundJob> jobs_;
  std::map<int64_t, Targets> targets_;
  std::set<int64_t> done_rounds_;  // targets of these came a second time, from a worker that was thought lost
  bool stopped_ = false;
};

class WorkerRole {
 public:
  // Loads tokenizer and, unless the queries come with embeddings, the encoder.
  WorkerRole(comm::Communicator& world, const Layout& layout, const RunSettings& settings, int threads);
  // Collective over the workers, before Run: the model, read once for all of them (worker/load_tuner.h).
  void LoadTuner(const worker::WeightExchange& exchange);
  void Run();

  const std::string& model_digest() const { return lanes_.front()->digest(); }
  const std::string& arithmetic() const { return lanes_.front()->arithmetic(); }
  const std::string& tokenizer_digest() const { return tokenizer_->digest(); }
  std::string encoder_digest() const { return encoder_ ? encoder_->digest() : ""; }  // "" without an encoder
  int encoder_dim() const { return encoder_ ? encoder_->dim() : 0; }

 private:
  void Handle(const comm::Envelope& envelope);
  void WorkLane(worker::Tuner* tuner);  // a thread: takes jobs until Stop
  bool DoNext(worker::Tuner* tuner);    // waits for a job and does it; false: stopped
  void Embed(const EmbedJob& job);
  TuneDone Tune(const TuneJob& job, int64_t number, worker::Tuner* tuner);

  comm::Communicator& world_;
  const int first_shard_;
  const RunSettings settings_;
  const int threads_;  // of a lane
  std::unique_ptr<Tokenizer> tokenizer_;
  std::vector<std::shared_ptr<worker::Tuner>> lanes_;  // over the base weights of the first
  std::unique_ptr<worker::Encoder> encoder_;           // of one lane at a time
  const TestHooks hooks_ = TestHooks::FromEnvironment();

  std::mutex mutex_;  // of the rest
  std::condition_variable work_;
  std::deque<EmbedJob> embeddings_;  // these first: all other workers wait for what comes of them
  std::deque<TuneJob> tasks_;
  bool embedding_ = false;
  int64_t tasks_begun_ = 0;
  bool stopped_ = false;
  std::exception_ptr failure_;  // of a lane: the role ends with it
};

}  // namespace hullft::coordinator
