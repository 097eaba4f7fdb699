#include "coordinator/worker_models.h"

#include <algorithm>

#include "common/error.h"
#include "coordinator/query_encoder.h"
#include "worker/device.h"
#include "worker/memory_plan.h"

namespace hullft::coordinator {
namespace {

WireBpb ToWire(const worker::Score& score) {
  return {score.bpb.value_or(0), score.bpb_first_window.value_or(0), score.log_likelihood,
          score.log_likelihood_first_window};
}

std::optional<worker::Score> FromWire(const std::optional<UntunedScore>& wire, int64_t bytes) {
  if (!wire) return std::nullopt;
  worker::Score score;
  score.log_likelihood = wire->bpb.log_likelihood;
  score.tokens = wire->tokens;
  score.bytes = bytes;
  score.bpb = wire->bpb.rolling;
  score.log_likelihood_first_window = wire->bpb.log_likelihood_first_window;
  score.bpb_first_window = wire->bpb.first_window;
  score.windows = wire->windows;
  return score;
}

Stage StageOf(worker::TuneStage stage) {
  switch (stage) {
    case worker::TuneStage::kScoreBefore:
      return Stage::kScoringBefore;
    case worker::TuneStage::kTune:
      return Stage::kTuning;
    case worker::TuneStage::kScoreAfter:
      return Stage::kScoringAfter;
  }
  return Stage::kReceived;
}

}  // namespace

WorkerModels::WorkerModels(const RunSettings& settings, const index::CorpusInfo& corpus, int threads)
    : settings_(settings), threads_(threads / settings.queries_per_worker) {
  for (const RunSetting& setting : settings.Grid()) tunes_.push_back(setting.tune);
  tokenizer_ = Tokenizer::Load(settings.model);
  if (!settings.encoder.empty())
    encoder_ = LoadQueryEncoder(settings.encoder, settings.prompt, corpus, std::max(1, threads_));
}

void WorkerModels::LoadTuner(const worker::WeightExchange& exchange) {
  worker::TunerOptions options;
  options.model_dir = settings_.model;
  options.device = worker::ChooseDevice(settings_.device, exchange.node.rank);
  options.threads = std::max(1, threads_);
  options.precision = settings_.precision;
  options.check_weights = settings_.check_weights || settings_.paranoid;
  options.adapter = settings_.adapter;
  options.own_stream = settings_.queries_per_worker > 1;
  options.cuda_graphs = settings_.cuda_graphs;
  worker::Together(exchange.all, exchange.host, [&] {
    const c10::Device device = worker::ParseDevice(options.device);
    if (device.is_cpu() && threads_ < 1) {
      throw Error(Code::kUsage,
                  fmt::format("--queries-per-worker {}: a worker on {} has fewer threads than that",
                              settings_.queries_per_worker, exchange.host),
                  "one thread a query is the least: fewer queries, fewer workers or more --threads");
    }
    // TF32 is a setting of the process: vectors made with it would not be those of the corpus.
    if (encoder_ && !device.is_cpu() && settings_.precision != "tf32") encoder_->MoveTo(options.device);
    const int sharers = device.is_cpu() ? exchange.node.size : 1;
    worker::CheckMemory(worker::PlanMemory(worker::ReadModelShape(settings_.model), settings_.tune.max_length, sharers,
                                           settings_.queries_per_worker, settings_.adapter, settings_.cuda_graphs),
                        worker::FreeMemory(device), device.is_cpu() ? "host " + exchange.host : device.str());
  });
  lanes_.push_back(worker::LoadTunerShared(options, exchange));
  while (static_cast<int>(lanes_.size()) < settings_.queries_per_worker) {
    lanes_.push_back(worker::Tuner::Load(options, worker::SharedBase(lanes_.front())));
  }
  if (settings_.tune.max_length > lanes_.front()->max_positions()) {
    throw Error(Code::kUsage,
                fmt::format("--max-length {} is more than the {} positions of {}", settings_.tune.max_length,
                            lanes_.front()->max_positions(), settings_.model),
                fmt::format("--max-length {} or less", lanes_.front()->max_positions()));
  }
}

void WorkerModels::Embed(std::span<const std::string_view> texts, std::span<float> out) {
  encoder_->Embed(std::vector<std::string_view>(texts.begin(), texts.end()), out);
}

std::optional<UntunedScore> WorkerModels::KnownScore(const TuneJob& job) {
  if (job.untuned || tunes_.size() == 1) return job.untuned;
  const std::lock_guard lock(scores_mutex_);
  const auto place = std::ranges::find(scores_, job.query, &std::pair<int64_t, UntunedScore>::first);
  return place == scores_.end() ? std::nullopt : std::optional(place->second);
}

void WorkerModels::KeepScore(int64_t query, const UntunedScore& score) {
  if (tunes_.size() == 1) return;
  const std::lock_guard lock(scores_mutex_);
  scores_.emplace_back(query, score);
  if (scores_.size() > kScores) scores_.pop_front();
}

TuneDone WorkerModels::Tune(int lane, const TuneJob& job, const StageSink& stages) {
  const worker::TuneSettings& tune = tunes_.at(static_cast<size_t>(job.setting));
  const std::optional<UntunedScore> known = KnownScore(job);
  worker::Tuner& tuner = *lanes_.at(static_cast<size_t>(lane));
  std::vector<worker::TrainSequence> train;
  for (const Training& training : job.training) train.push_back({training.tokens, training.count});
  const auto bytes = static_cast<int64_t>(job.text.size());
  const std::vector<worker::EvalDocument> eval = {{tokenizer_->Encode(job.text, false), bytes, FromWire(known, bytes)}};
  const worker::TuneResult result =
      tuner.Run(tune, train, eval, /*grad_norms=*/false,
                [&](worker::TuneStage stage, int64_t step, int64_t steps) { stages(StageOf(stage), step, steps); });
  TuneDone done;
  done.before = ToWire(result.before.at(0));
  done.after = ToWire(result.after.at(0));
  for (const worker::Mark& mark : result.marks) {
    done.marks.push_back({mark.n, mark.steps, mark.gradients, mark.tune_ms, ToWire(mark.scores.at(0))});
  }
  done.untuned_given = known.has_value();
  done.bytes = bytes;
  done.tokens = result.after[0].tokens;
  done.windows = result.after[0].windows;
  done.prefix_token = tune.prefix_token >= 0 ? tune.prefix_token : tuner.default_prefix_token();
  done.steps = static_cast<int64_t>(result.steps.size());
  done.gradients = result.gradients_computed;
  done.tokens_trained = result.tokens_trained;
  done.score_before_ms = known ? 0 : result.score_before_ms;
  done.tune_ms = result.tune_ms;
  done.score_after_ms = result.score_after_ms;
  if (!known) KeepScore(job.query, {done.before, done.tokens, done.windows});
  return done;
}

}  // namespace hullft::coordinator
