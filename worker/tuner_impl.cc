#include "worker/tuner_impl.h"

#include <cmath>

#include "worker/device.h"
#include "worker/finetune/adam.h"
#include "worker/finetune/scoring.h"
#include "worker/models/id_tensor.h"

namespace hullft::worker {
namespace {

void CheckTokens(std::span<const int32_t> tokens, int64_t vocabulary, std::string_view what, size_t index) {
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] >= 0 && tokens[i] < vocabulary) continue;
    throw Error(Code::kData,
                fmt::format("{} {}: token {} is {}, outside the model's vocabulary of {}", what, index, i, tokens[i],
                            vocabulary),
                "were the tokens made with another model's tokenizer?");
  }
}

}  // namespace

Tuner::Marker::Marker(Impl* impl, const TuneSettings& settings, std::span<const TrainSequence> train,
                      std::span<const EvalDocument> eval, const TuneObserver& observer)
    : settings(settings), impl_(impl), eval_(eval), observer_(observer) {
  for (const TrainSequence& sequence : train) steps_ += sequence.tokens.size() < 2 ? 0 : sequence.count;
  Tell(0);
}

void Tuner::Marker::Advance(int steps, TuneResult* result) {
  trained_ += steps;
  Tell(static_cast<int64_t>(result->steps.size()));
  if (next_ == settings.score_at.size() || trained_ != settings.score_at[next_]) return;
  ++next_;
  const at::Device device = impl_->model->flat().device();
  SynchronizeDevice(device);
  Mark mark{trained_, static_cast<int64_t>(result->steps.size()), result->gradients_computed, Milliseconds(), {}};
  const auto start = std::chrono::steady_clock::now();
  mark.scores = result->steps.empty() ? result->before : impl_->ScoreTuned(settings, eval_);
  SynchronizeDevice(device);
  scoring_ms_ += MillisecondsSince(start);
  result->marks.push_back(std::move(mark));
}

void Tuner::Impl::CheckWeights() const {
  if (const std::string now = Digest(); now != digest) {
    throw Error(Code::kInternal, fmt::format("the base weights have digest {}, they were loaded with {}", now, digest),
                "something wrote into them: bad memory, or a fault of hullft");
  }
}

void Tuner::Impl::Check(const TuneSettings& settings, std::span<const TrainSequence> train,
                        std::span<const EvalDocument> eval) const {
  if (const std::string faults = settings.Validate(); !faults.empty()) throw UsageError("{}", faults);
  if (settings.max_length > model->max_positions()) {
    throw Error(Code::kUsage,
                fmt::format("max_length {} is above the model's limit of {} positions", settings.max_length,
                            model->max_positions()),
                fmt::format("use --max-length {}", model->max_positions()));
  }
  for (size_t i = 0; i < train.size(); ++i) {
    if (train[i].count < 1) throw DataError("training sequence {}: count {} is not positive", i, train[i].count);
    CheckTokens(train[i].tokens, model->vocab_size(), "training sequence", i);
  }
  for (size_t i = 0; i < eval.size(); ++i) {
    CheckTokens(eval[i].tokens, model->vocab_size(), "scored document", i);
  }
}

int32_t Tuner::Impl::PrefixToken(const TuneSettings& settings) const {
  int64_t token = settings.prefix_token;
  if (token < 0) token = model->bos_token_id() >= 0 ? model->bos_token_id() : model->eos_token_id();
  if (token < 0) {
    throw Error(Code::kUsage, "the model's config.json has neither bos_token_id nor eos_token_id to begin scoring with",
                "give --prefix-token ID");
  }
  if (token >= model->vocab_size()) {
    throw UsageError("prefix token {} is outside the model's vocabulary of {}", token, model->vocab_size());
  }
  return static_cast<int32_t>(token);
}

std::vector<Score> Tuner::Impl::ScoreUntuned(const TuneSettings& settings, std::span<const EvalDocument> eval) {
  std::vector<Score> scores;
  for (const EvalDocument& document : eval) {
    scores.push_back(document.untuned ? *document.untuned : ScoreAll(settings, {&document, 1}).front());
  }
  return scores;
}

std::vector<Score> Tuner::Impl::ScoreAll(const TuneSettings& settings, std::span<const EvalDocument> eval) {
  std::vector<Score> scores;
  if (eval.empty()) return scores;
  const int32_t prefix = PrefixToken(settings);
  for (const EvalDocument& document : eval) {
    scores.push_back(ScoreDocument(*model, head, document, prefix, settings.max_length));
  }
  return scores;
}

std::vector<Score> Tuner::Impl::ScoreTuned(const TuneSettings& settings, std::span<const EvalDocument> eval) {
  if (lora) lora->Merge();
  std::vector<Score> scores = ScoreAll(settings, eval);
  if (lora) lora->Attach();
  return scores;
}

void Tuner::Impl::Reset() {
  trained().DropGradients();
  weights.UseBase();
  if (lora) lora->Detach();
  if (check_weights) CheckWeights();
}

void Tuner::Impl::BeginTraining() {
  if (!lora) return;
  adapters->UseBase();
  lora->Attach();
}

// Leaves the gradient of the mean loss over tokens 1 to T - 1 in the parameters; returns the loss. tokens: T >= 2.
// step: counted from 1 over the query, for messages.
double Tuner::Impl::ComputeGradient(const TuneSettings& settings, std::span<const int32_t> tokens, int sequence,
                                    int64_t step, StageClock* clock, GradientTimes* times) {
  const auto finite = [&](double loss) {
    if (std::isfinite(loss)) return loss;
    throw Error(Code::kNumeric, fmt::format("the loss of training sequence {} at step {} is {}", sequence, step, loss),
                "try a smaller learning rate");
  };
  // From the second step of a query on the parameters lie in the working copy, as in every later pass.
  if (graphs && settings.dropout == 0 && step > 1) {
    if (const std::optional<double> loss = graphs->Compute(*model, trained(), tokens)) {
      times->backward = clock->Lap();  // all three stages
      return finite(*loss);
    }
  }
  // The last token is only predicted, never read: causal attention keeps it from every other position.
  const at::Tensor ids = IdTensor(tokens.first(tokens.size() - 1), model->flat().device());
  trained().PrepareGradients();
  const at::Tensor hidden = model->Hidden(ids, settings.dropout);
  times->forward = clock->Lap();
  const at::Tensor head_weight = model->HeadWeight();
  HULLFT_CHECK(head_weight.is_leaf() && head_weight.requires_grad() == !lora);
  // Frozen or written into its place; a tied embedding adds its own part to it later.
  const HeadLoss::Result result = head.WithGradients(hidden, head_weight, tokens.subspan(1), head_weight.grad(),
                                                     trained().IdleGradient(head_weight));
  finite(result.loss);
  times->loss = clock->Lap();
  hidden.backward(result.hidden_gradient);
  times->backward = clock->Lap();
  return result.loss;
}

void Tuner::Impl::TuneOn(const TrainSequence& train, int sequence, bool grad_norms, Marker* marker,
                         TuneResult* result) {
  const TuneSettings& settings = marker->settings;
  const auto cut = std::min<size_t>(train.tokens.size(), static_cast<size_t>(settings.max_length));
  const std::span<const int32_t> tokens(train.tokens.data(), cut);
  if (tokens.size() < 2) {  // nothing to predict: the mean over no tokens would be NaN
    ++result->sequences_skipped;
    for (int j = 0; j < train.count; ++j) marker->Advance(1, result);
    return;
  }
  const int interval = settings.refresh == 0 ? train.count : settings.refresh;
  for (int done = 0; done < train.count; done += interval) {
    const int run = std::min(interval, train.count - done);
    GradientTimes times;
    times.tokens = static_cast<int>(tokens.size());
    times.steps = run;
    StageClock clock;
    const double loss =
        ComputeGradient(settings, tokens, sequence, static_cast<int64_t>(result->steps.size()) + 1, &clock, &times);
    ++result->gradients_computed;
    result->tokens_trained += static_cast<int64_t>(tokens.size());
    double norm = 0;
    // In one pass over the weights, unless a mark lies between its steps. std::exchange moves j on.
    for (int j = 0; j < run;) {  // NOLINT(bugprone-infinite-loop)
      const auto steps_done = static_cast<int64_t>(result->steps.size());
      const std::vector<AdamSegment> segments = trained().Segments(steps_done == 0);
      if (j == 0 && grad_norms) norm = trained().GradientsNorm(segments, threads);
      const int end = j + marker->Until(run - j);
      clock.Lap();
      trained().RunAdam({.learning_rate = settings.learning_rate}, steps_done, end - j, segments, threads);
      const StageTime pass = clock.Lap();
      times.adam.wall_ms += pass.wall_ms;
      times.adam.cpu_ms += pass.cpu_ms;
      if (steps_done == 0) trained().UseWorking();
      const int first = std::exchange(j, end);
      for (int step = first; step < end; ++step) {
        result->steps.push_back({sequence, step == 0, step == 0 ? std::optional(loss) : std::nullopt, norm});
      }
      marker->Advance(end - first, result);
    }
    trained().DropGradients();
    result->gradient_times.push_back(times);
  }
}

}  // namespace hullft::worker
