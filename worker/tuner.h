// Test-time finetuning of one query: score, finetune on a multiset with reused gradients, score again (method.md §5-6).
//
// Knows nothing of MPI, RocksDB or selection: tokens in, numbers out. Torch does not appear in this header.
// Thread safety: one thread per Tuner; several Tuners may share one process (see TunerOptions::threads).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "worker/adapter_options.h"
#include "worker/finetune/stage_times.h"

namespace hullft::worker {

struct TunerOptions {
  std::string model_dir;       // config.json, model.safetensors (also sharded)
  std::string device = "cpu";  // "cpu", "cuda" or "cuda:N" (a build with HULLFT_CUDA); see worker/device.h
  int threads = 0;             // intra-op threads; 0: hullft::UsableCores()
  bool own_stream = false;     // GPU: work on a stream of its own, beside other Tuners on the same one
  bool cuda_graphs = false;    // GPU: record a pass for each length and replay it (worker/finetune/gradient_graphs.h)
  // Of matrix products with weights: "float32"; "tf32" (GPU: 10 bits of mantissa, the process's last loaded Tuner
  // decides); "bf16" (8 bits, worker/models/product.h). Weights, sums and Adam are float32 always.
  std::string precision = "float32";
  AdapterOptions adapter = {};  // what is trained: all weights, or low-rank adapters of some
  bool check_weights = false;   // hash the weights after every reset; a debugging aid that costs a pass over them
};

// Where the base weights live and who fills them. The default: the tuner's own memory, from the checkpoint.
struct BaseWeights {
  // Gives memory for so many float32 on the tuner's device, 64-byte aligned; called once, kept until the tuner is gone.
  // It is written while the checkpoint is read, and never after Load. Empty: the tuner's own.
  std::function<std::shared_ptr<float>(int64_t elements)> memory;
  // What memory() gives holds the weights already, as another Tuner of the same model_dir laid them out: the checkpoint
  // is not opened, config.json suffices, and the memory may be read-only. Needs `digest`.
  bool filled = false;
  // When not empty: what digest() must come out as, else Load throws kData (the wrong or damaged weights came).
  std::string digest;
};

// One trained parameter.
struct NamedWeights {
  std::string name;
  std::vector<float> values;
};

class Tuner;
// The base weights of a loaded Tuner, for another one of the same model on the same device: only its working copy,
// gradient and moments are its own. Keeps `owner` alive.
BaseWeights SharedBase(const std::shared_ptr<Tuner>& owner);

struct TuneSettings {
  double learning_rate = 5e-5;  // Adam, betas 0.9 / 0.999, eps 1e-8, no weight decay (HullFT's experiments)
  int refresh = 2;              // r: gradient recomputed when j mod r == 0; 0 = infinity (once per sequence)
  int max_length = 1024;  // T: training sequences are cut, scoring windows are this long; at most the model's limit
  double dropout = 0.0;   // 0: deterministic; the authors' code leaves GPT-2's 0.1 on
  int prefix_token = -1;  // first token of the first scoring window; -1: bos_token_id, else eos_token_id
  // Rising numbers N: the documents are also scored when the first N of the multiset (repeats counted) are trained on,
  // with the bits of a run on these N alone. For a selection of which every smaller one is a prefix (method.md §5).
  std::vector<int> score_at = {};
  std::string Validate() const;  // all faults in one text, "" when none
};

struct TrainSequence {
  std::vector<int32_t> tokens;  // any length; cut to max_length
  int count = 1;                // J, its multiplicity
};

// One optimizer step.
struct StepRecord {
  int sequence = 0;            // index into the training list
  bool computed = false;       // the gradient was computed for this step, not reused
  std::optional<double> loss;  // mean over T - 1 predicted tokens; nothing when reused
  double grad_norm = 0;        // L2 over all that is trained (tied parameters once), just before the step
};

// Both definitions of BPB (method.md §6). Log-likelihoods in nats.
struct Score {
  double log_likelihood = 0;  // rolling windows, every token once
  int64_t tokens = 0;
  std::optional<int64_t> bytes;
  std::optional<double> bpb;
  double log_likelihood_first_window = 0;  // first max_length tokens, first one not scored
  std::optional<double> bpb_first_window;  // nothing also when no token is scored (fewer than 2 tokens)
  int64_t windows = 0;
};

struct EvalDocument {
  std::vector<int32_t> tokens;   // the whole document, no special tokens
  std::optional<int64_t> bytes;  // its UTF-8 bytes; without it no BPB
  // Its score with the base weights where that is known, from a Tuner of the same digest() and arithmetic() with the
  // same max_length and prefix_token: taken as it is instead of being computed.
  std::optional<Score> untuned = std::nullopt;
};

// One of TuneSettings::score_at. A larger N than the multiset has is no mark.
struct Mark {
  int n = 0;
  int64_t steps = 0, gradients = 0;  // up to here
  double tune_ms = 0;                // up to here
  std::vector<Score> scores;         // one per document
};

struct TuneResult {
  std::vector<StepRecord> steps;
  std::vector<Score> before, after;  // one per document
  std::vector<Mark> marks;
  double score_before_ms = 0, tune_ms = 0, score_after_ms = 0;  // score_after_ms: with the marks'
  std::vector<GradientTimes> gradient_times;                    // one a computed gradient
  int64_t gradients_computed = 0, tokens_trained = 0;
  int64_t gradients_replayed = 0;  // of those computed: by CUDA graphs
  int64_t sequences_skipped =
      0;  // fewer than 2 tokens: nothing to predict, no step (the reference's loss is NaN there)
};

// Where a Run is. Called by the thread that runs, at the start of each stage and after each gradient's steps of kTune;
// step of steps: optimizer steps, 0 of 0 in the other stages.
enum class TuneStage : uint8_t { kScoreBefore, kTune, kScoreAfter };
using TuneObserver = std::function<void(TuneStage stage, int64_t step, int64_t steps)>;

class Tuner {
 public:
  // Throws kData (model_dir, digest), kUsage (device), kMemory.
  static std::unique_ptr<Tuner> Load(const TunerOptions& options, const BaseWeights& base = {});
  ~Tuner();

  // From the base weights every time: the result does not depend on what was tuned before. grad_norms costs a pass over
  // the gradients; off, StepRecord::grad_norm is 0. Throws kNumeric on a loss that is not finite (kInternal
  // when check_weights finds other weights than were loaded), kMemory, kData (token
  // out of the vocabulary, count below 1), kUsage (settings, max_length above the model's limit). After an error the
  // next Run is as good as any. The bits of a result depend on the number of threads (through the BLAS), on nothing
  // else that is not in the arguments; with dropout > 0 also on other Torch users of the process (one generator).
  TuneResult Run(const TuneSettings& settings, std::span<const TrainSequence> train, std::span<const EvalDocument> eval,
                 bool grad_norms = false, const TuneObserver& observer = {});

  // What the last Run left, copied to the host: all parameters, or the adapters; as they begin where no step was made.
  std::vector<NamedWeights> Trained() const;

  int64_t parameters() const;          // of the model
  int64_t trained_parameters() const;  // all of them, or the adapters'
  int max_positions() const;           // the model's window limit
  int default_prefix_token() const;
  const std::string& digest() const;  // hash of weights and configuration
  // What the bits of a score depend on besides digest() and the arguments: device, precision, threads, libraries.
  const std::string& arithmetic() const;
  // The base weights, on the tuner's device: base_elements() float32, the gaps between parameters included.
  float* base();
  int64_t base_elements() const;

 private:
  Tuner();
  struct Impl;
  class Marker;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hullft::worker
