#include "worker/tuner.h"

#include <c10/core/DeviceGuard.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <utility>

#include "common/error.h"
#include "common/files.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/parallel.h"
#include "worker/device.h"
#include "worker/finetune/adam.h"
#include "worker/finetune/flat_weights.h"
#include "worker/finetune/head_loss.h"
#include "worker/finetune/lora.h"
#include "worker/finetune/scoring.h"
#include "worker/models/language_model.h"
#include "worker/runtime.h"

namespace hullft::worker {
namespace {

constexpr uint64_t kDropoutSeed = 42;

double MillisecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

void CheckTokens(std::span<const int32_t> tokens, int64_t vocabulary, std::string_view what, size_t index) {
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] >= 0 && tokens[i] < vocabulary) continue;
    throw Error(Code::kData,
                fmt::format("{} {}: token {} is {}, outside the model's vocabulary of {}", what, index, i, tokens[i],
                            vocabulary),
                "were the tokens made with another model's tokenizer?");
  }
}

// Warns where bfloat16 only costs accuracy.
void CheckPrecision(const std::string& precision, at::Device device) {
  if (precision != "float32" && precision != "tf32" && precision != "bf16") {
    throw UsageError("precision '{}' is none of float32, tf32 and bf16", precision);
  }
  if (precision == "tf32" && device.is_cpu()) {
    throw Error(Code::kUsage, "precision tf32: only GPUs have it", "use --precision float32, or bf16");
  }
  if (precision != "bf16") return;
  const double speedup = Bf16Speedup(device);
  if (speedup < 1.2) {
    spdlog::warn(
        "bfloat16 products are {:.2f} times as fast as float32 ones on this device: --precision float32 is "
        "exact and no slower here",
        speedup);
  }
}

FlatSource Source(at::Device device, const BaseWeights& base) {
  FlatSource source{device, nullptr, base.filled};
  if (!base.memory) return source;
  source.memory = [device, &base](int64_t elements) {
    const std::shared_ptr<float> memory = base.memory(elements);
    return at::from_blob(
        memory.get(), {elements}, [memory](void*) {}, at::TensorOptions(at::kFloat).device(device), device);
  };
  return source;
}

}  // namespace

std::string TuneSettings::Validate() const {
  std::string faults;
  const auto need = [&](bool fine, std::string_view text) {
    if (!fine) faults += (faults.empty() ? "" : "; ") + std::string(text);
  };
  need(std::isfinite(learning_rate) && learning_rate >= 0, "the learning rate must be a number >= 0");
  need(refresh >= 0, "the refresh interval must be >= 1, or 0 for infinity");
  need(max_length >= 2, "max_length must be at least 2 tokens");
  need(dropout >= 0 && dropout < 1, "dropout must be in [0, 1)");
  need(prefix_token >= -1, "the prefix token must be a token id, or -1 for the model's own");
  need(score_at.empty() || score_at.front() >= 1, "what is scored at must be numbers from 1");
  need(std::ranges::adjacent_find(score_at, std::greater_equal<>()) == score_at.end(),
       "the numbers to score at must rise");
  return faults;
}

BaseWeights SharedBase(const std::shared_ptr<Tuner>& owner) {
  BaseWeights base;
  base.filled = true;
  base.digest = owner->digest();
  base.memory = [owner](int64_t elements) {
    HULLFT_CHECK(elements == owner->base_elements());
    return std::shared_ptr<float>(owner, owner->base());
  };
  return base;
}

struct Tuner::Impl {
  Impl(std::unique_ptr<LanguageModel> loaded, int thread_count, Precision precision)
      : model(std::move(loaded)), weights(model.get()), head(thread_count, precision), threads(thread_count) {
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
  std::optional<c10::Stream> stream;  // with TunerOptions::own_stream

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
  // The last token is only predicted, never read: causal attention keeps it from every other position.
  const at::Tensor ids = IdTensor(tokens.first(tokens.size() - 1), model->flat().device());
  trained().PrepareGradients();
  const at::Tensor hidden = model->Hidden(ids, settings.dropout);
  times->forward = clock->Lap();
  const at::Tensor head_weight = model->HeadWeight();
  HULLFT_CHECK(head_weight.is_leaf() && head_weight.requires_grad() == !lora);
  // Frozen or written into its place; a tied embedding adds its own part to it later.
  const HeadLoss::Result result = head.WithGradients(hidden, head_weight, tokens.subspan(1), head_weight.grad());
  if (!std::isfinite(result.loss)) {
    throw Error(Code::kNumeric,
                fmt::format("the loss of training sequence {} at step {} is {}", sequence, step, result.loss),
                "try a smaller learning rate");
  }
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
    for (int j = 0; j < run;) {  // in one pass over the weights, unless a mark lies between its steps
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

Tuner::Tuner() = default;
Tuner::~Tuner() = default;

std::unique_ptr<Tuner> Tuner::Load(const TunerOptions& options, const BaseWeights& base) {
  HULLFT_CHECK(!base.filled || (base.memory && !base.digest.empty()));
  const at::Device device = ParseDevice(options.device);
  const int threads = options.threads > 0 ? options.threads : UsableCores();
  std::unique_ptr<Tuner> tuner(new Tuner);
  CallTorch([&] {
    InitTorchRuntime(threads);
    CheckPrecision(options.precision, device);
    InitDevice(device, options.precision == "tf32");
    const c10::DeviceGuard guard(device);
    tuner->impl_ = std::make_unique<Impl>(LoadLanguageModel(options.model_dir, Source(device, base)), threads,
                                          options.precision == "bf16" ? Precision::kBf16 : Precision::kFloat32);
    const std::string config = ReadFile(std::filesystem::path(options.model_dir) / "config.json");
    if (options.own_stream && !device.is_cpu()) {
      tuner->impl_->stream = c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device);
    }
    tuner->impl_->arithmetic = Arithmetic(device, threads, options.precision);
    tuner->impl_->config = config;
    tuner->impl_->check_weights = options.check_weights;
    tuner->impl_->digest = tuner->impl_->Digest();
    tuner->impl_->Adapt(options.adapter);
    if (!base.digest.empty() && tuner->impl_->digest != base.digest) {
      throw Error(Code::kData,
                  fmt::format("{}: the weights and configuration have digest {}, expected {}", options.model_dir,
                              tuner->impl_->digest, base.digest),
                  "every worker must see the same model folder");
    }
  });
  return tuner;
}

TuneResult Tuner::Run(const TuneSettings& settings, std::span<const TrainSequence> train,
                      std::span<const EvalDocument> eval, bool grad_norms, const TuneObserver& observer) {
  Impl& impl = *impl_;
  impl.Check(settings, train, eval);
  TuneResult result;
  const auto tell = [&](TuneStage stage) {
    if (observer) observer(stage, 0, 0);
  };
  CallTorch([&] {
    const IntraOpThreads bound(impl.threads);
    const at::Device device = impl.model->flat().device();
    const c10::DeviceGuard guard(device);
    std::optional<c10::StreamGuard> on_stream;
    if (impl.stream) on_stream.emplace(*impl.stream);
    if (settings.dropout > 0) at::manual_seed(kDropoutSeed);
    impl.Reset();
    auto start = std::chrono::steady_clock::now();
    tell(TuneStage::kScoreBefore);
    result.before = impl.ScoreUntuned(settings, eval);
    SynchronizeDevice(device);
    result.score_before_ms = MillisecondsSince(start);
    impl.BeginTraining();
    Marker marker(&impl, settings, train, eval, observer);
    for (size_t i = 0; i < train.size(); ++i) {
      impl.TuneOn(train[i], static_cast<int>(i), grad_norms, &marker, &result);
    }
    SynchronizeDevice(device);
    result.tune_ms = marker.Milliseconds();
    if (result.sequences_skipped > 0) {
      spdlog::warn("{} training sequences of fewer than 2 tokens were skipped", result.sequences_skipped);
    }
    start = std::chrono::steady_clock::now();
    tell(TuneStage::kScoreAfter);
    if (!result.marks.empty() && result.marks.back().n == marker.trained()) {
      result.after = result.marks.back().scores;
    } else {
      result.after = result.steps.empty() ? result.before : impl.ScoreTuned(settings, eval);
    }
    SynchronizeDevice(device);
    result.score_after_ms = marker.scoring_ms() + MillisecondsSince(start);
  });
  return result;
}

std::vector<NamedWeights> Tuner::Trained() const {
  std::vector<NamedWeights> result;
  CallTorch([&] {
    FlatParameters& trained = impl_->lora ? static_cast<FlatParameters&>(*impl_->lora) : *impl_->model;
    for (const Parameter& parameter : trained.parameters()) {
      const at::Tensor host = parameter.value.detach().cpu().contiguous();
      const float* const values = host.const_data_ptr<float>();
      result.push_back({parameter.name, {values, values + parameter.count}});
    }
  });
  return result;
}

int64_t Tuner::parameters() const {
  return impl_->weights.parameters();
}
int64_t Tuner::trained_parameters() const {
  return impl_->trained().parameters();
}
int Tuner::max_positions() const {
  return static_cast<int>(impl_->model->max_positions());
}
int Tuner::default_prefix_token() const {
  return static_cast<int>(impl_->model->bos_token_id() >= 0 ? impl_->model->bos_token_id()
                                                            : impl_->model->eos_token_id());
}
const std::string& Tuner::digest() const {
  return impl_->digest;
}
const std::string& Tuner::arithmetic() const {
  return impl_->arithmetic;
}
float* Tuner::base() {
  return impl_->weights.base();
}
int64_t Tuner::base_elements() const {
  return impl_->weights.base_elements();
}

}  // namespace hullft::worker
