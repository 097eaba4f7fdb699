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
#include "common/log.h"
#include "common/parallel.h"
#include "worker/checkpoint/gguf_model.h"
#ifdef HULLFT_CUDA
#include "worker/cuda/graph_recorder.h"
#endif
#include "worker/device.h"
#include "worker/runtime.h"
#include "worker/tuner_impl.h"

namespace hullft::worker {
namespace {

constexpr uint64_t kDropoutSeed = 42;

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

// Null unless asked for.
std::unique_ptr<GradientGraphs> MakeGraphs(const TunerOptions& options, at::Device device) {
  if (!options.cuda_graphs) return nullptr;
  if (device.is_cpu()) {
    throw Error(Code::kUsage, "CUDA graphs: the device is the CPU",
                "leave --cuda-graphs out, or give a GPU by --device");
  }
#ifdef HULLFT_CUDA
  return std::make_unique<GradientGraphs>(CudaGraphRecorder());
#else
  return nullptr;  // ParseDevice refuses GPUs in such a build
#endif
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
    std::unique_ptr<GradientGraphs> graphs = MakeGraphs(options, device);
    tuner->impl_ = std::make_unique<Impl>(LoadLanguageModel(options.model_dir, Source(device, base)), threads,
                                          options.precision == "bf16" ? Precision::kBf16 : Precision::kFloat32);
    const std::filesystem::path model = options.model_dir;
    const std::string config = IsGguf(model) ? GgufConfig(GgufFile(model)).dump() : ReadFile(model / "config.json");
    tuner->impl_->graphs = std::move(graphs);
    if ((options.own_stream || options.cuda_graphs) && !device.is_cpu()) {
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
    tuner->impl_->trained().Reserve();
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
    const int64_t replayed = impl.graphs ? impl.graphs->replayed() : 0;
    Marker marker(&impl, settings, train, eval, observer);
    for (size_t i = 0; i < train.size(); ++i) {
      impl.TuneOn(train[i], static_cast<int>(i), grad_norms, &marker, &result);
    }
    SynchronizeDevice(device);
    result.tune_ms = marker.Milliseconds();
    if (impl.graphs) result.gradients_replayed = impl.graphs->replayed() - replayed;
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
