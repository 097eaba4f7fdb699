// A worker's tasks as a run does them: tokenizer, encoder and language model.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/tokenizer/tokenizer.h"
#include "coordinator/settings.h"
#include "coordinator/worker_tasks.h"
#include "index/corpus.h"
#include "worker/encoder.h"
#include "worker/load_tuner.h"
#include "worker/tuner.h"

namespace hullft::coordinator {

class WorkerModels final : public WorkerTasks {
 public:
  // Loads tokenizer and, unless the queries come with embeddings, the encoder (LoadQueryEncoder), on the CPU.
  WorkerModels(const RunSettings& settings, const index::CorpusInfo& corpus, int threads);
  // Collective over the workers, before the first task: the model, read once for all of them (worker/load_tuner.h). The
  // encoder goes to the worker's GPU.
  void LoadTuner(const worker::WeightExchange& exchange);

  int dim() const override { return encoder_ ? encoder_->dim() : 0; }
  void Embed(std::span<const std::string_view> texts, std::span<float> out) override;
  int lanes() const override { return static_cast<int>(lanes_.size()); }
  TuneDone Tune(int lane, const TuneJob& job, const StageSink& stages) override;

  const std::string& model_digest() const { return lanes_.front()->digest(); }
  const std::string& arithmetic() const { return lanes_.front()->arithmetic(); }
  const std::string& tokenizer_digest() const { return tokenizer_->digest(); }
  std::string encoder_digest() const { return encoder_ ? encoder_->digest() : ""; }  // "" without an encoder

 private:
  // The untuned score that came with the job, or that another setting's task for the query made here a moment ago: the
  // coordinator hands tasks out before it has the score of the one before.
  std::optional<UntunedScore> KnownScore(const TuneJob& job);
  void KeepScore(int64_t query, const UntunedScore& score);
  static constexpr size_t kScores = 64;

  const RunSettings settings_;
  std::vector<worker::TuneSettings> tunes_;  // by setting
  const int threads_;                        // of a lane
  std::unique_ptr<Tokenizer> tokenizer_;
  std::vector<std::shared_ptr<worker::Tuner>> lanes_;  // over the base weights of the first
  std::unique_ptr<worker::Encoder> encoder_;           // of one lane at a time
  std::mutex scores_mutex_;
  std::deque<std::pair<int64_t, UntunedScore>> scores_;  // by query, the newest last; with several settings
};

}  // namespace hullft::coordinator
