// What a Tuner is made of: the stages of a run over model, weights and adapters. Only tuner.cc and tuner_impl.cc see
// it.
#pragma once

#include <c10/core/Stream.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/error.h"
#include "common/hash.h"
#include "worker/finetune/flat_weights.h"
#include "worker/finetune/gradient_graphs.h"
#include "worker/finetune/head_loss.h"
#include "worker/finetune/lora.h"
#include "worker/models/language_model.h"
#include "worker/tuner.h"

namespace hullft::worker {

inline double MillisecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

struct Tuner::Impl {
  Impl(std::unique_ptr<LanguageModel> loaded, int thread_count, Precision precision)
      : model(std::move(loaded)),
        weights(model.get()),
        head(thread_count, precision, model->logit_cap()),
        threads(thread_count) {
    model->set_precision(precision);
  }

  // From now on adapters are trained in place of the weights.
  void Adapt(const AdapterOptions& options) {
    if (const std::string faults = options.Validate(); !faults.empty()) throw UsageError("{}", faults);
    if (!options.lora()) return;
    lora = std::make_unique<Lora>(model.get(), options);
    adapters = std::make_unique<FlatWeights>(lora.get());
  }
  FlatWeights& trained() { return adapters ? *adapters : weights; }

  std::unique_ptr<LanguageModel> model;
  FlatWeights weights;
  std::unique_ptr<Lora> lora;  // null: the weights themselves are trained
  std::unique_ptr<FlatWeights> adapters;
  HeadLoss head;
  int threads;
  std::string digest, arithmetic, config;
  bool check_weights = false;
  std::optional<c10::Stream> stream;       // with TunerOptions::own_stream or cuda_graphs
  std::unique_ptr<GradientGraphs> graphs;  // with TunerOptions::cuda_graphs; after the weights that they point into

  std::string Digest() const { return Hasher().Update(config).Update(weights.Digest()).Hex(); }
  // After a reset: the weights are those that were loaded, to the last bit.
  void CheckWeights() const;
  void Check(const TuneSettings& settings, std::span<const TrainSequence> train,
             std::span<const EvalDocument> eval) const;
  int32_t PrefixToken(const TuneSettings& settings) const;
  std::vector<Score> ScoreUntuned(const TuneSettings& settings, std::span<const EvalDocument> eval);
  std::vector<Score> ScoreAll(const TuneSettings& settings, std::span<const EvalDocument> eval);
  std::vector<Score> ScoreTuned(const TuneSettings& settings, std::span<const EvalDocument> eval);
  void Reset();          // to the base weights, whatever a run before left
  void BeginTraining();  // what is trained is as every query begins with it
  double ComputeGradient(const TuneSettings& settings, std::span<const int32_t> tokens, int sequence, int64_t step,
                         StageClock* clock, GradientTimes* times);
  void TuneOn(const TrainSequence& train, int sequence, bool grad_norms, Marker* marker, TuneResult* result);
};

// Counts what of the multiset has been trained on, tells the observer and scores at the marks on the way.
class Tuner::Marker {
 public:
  Marker(Impl* impl, const TuneSettings& settings, std::span<const TrainSequence> train,
         std::span<const EvalDocument> eval, const TuneObserver& observer);

  // Steps until the next mark, at most `steps`.
  int Until(int steps) const {
    return next_ < settings.score_at.size() ? std::min(steps, settings.score_at[next_] - trained_) : steps;
  }
  // So many more of the multiset are done, at most Until().
  void Advance(int steps, TuneResult* result);
  double Milliseconds() const { return MillisecondsSince(start_) - scoring_ms_; }  // without scoring
  double scoring_ms() const { return scoring_ms_; }
  int trained() const { return trained_; }

  const TuneSettings& settings;

 private:
  void Tell(int64_t done) const {
    if (observer_) observer_(TuneStage::kTune, done, steps_);
  }

  Impl* const impl_;
  const std::span<const EvalDocument> eval_;
  const TuneObserver& observer_;
  size_t next_ = 0;  // of score_at
  int trained_ = 0;
  int64_t steps_ = 0;  // of all sequences
  double scoring_ms_ = 0;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace hullft::worker
