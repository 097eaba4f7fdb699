// Gradients by replaying what was recorded once for their length (CUDA graphs): on a GPU a pass over a short sequence
// is some hundred launches, which can take longer than the work itself; a recorded pass is one launch.
//
// A bucket is one exact number of tokens. Padding to a longer one would be masked correctly (a causal model never looks
// ahead), but other sizes choose other kernels and other orders of sums, so that a loss would not have the bits that it
// has without graphs, and the rotations of longrope depend on the length itself. Most sequences of a corpus are cut to
// max_length, and a sequence of multiplicity J comes ceil(J / r) times: those are the lengths that repeat.
//
// The first pass of a length is not recorded: it brings libraries, their work-space and tables into place. The second
// is recorded, which does not run it, and replayed. Recorded passes read and write memory that stays: inputs and loss
// here, gradients in FlatWeights' flat array. Knows nothing of CUDA (worker/cuda/graph_recorder.h does), so that the
// tests run it on the CPU. Not thread-safe.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "worker/finetune/flat_weights.h"
#include "worker/models/language_model.h"

namespace hullft::worker {

class Recorded {
 public:
  virtual ~Recorded() = default;
  virtual void Replay() = 0;
};
// Notes what `body` gives the device to do, without doing it. Throws where that cannot be recorded. It may keep `body`,
// which stays valid as long as the GradientGraphs that hold the result, the model and the weights.
using Recorder = std::function<std::unique_ptr<Recorded>(const std::function<void()>& body)>;

// Forward, loss and backward pass without waiting for the device or reading from it. ids and targets: int64 [T - 1] on
// the model's device; loss: a float64 scalar there, the mean over the targets. Leaves every gradient in its place in
// trained's flat array. No dropout.
void GradientPass(LanguageModel& model, FlatWeights& trained, const at::Tensor& ids, const at::Tensor& targets,
                  at::Tensor loss);

class GradientGraphs {
 public:
  static constexpr size_t kMostLengths = 32;  // a graph of 24 layers is some MB; lengths beyond run as without graphs

  explicit GradientGraphs(Recorder recorder, size_t most_lengths = kMostLengths)
      : recorder_(std::move(recorder)), most_lengths_(most_lengths) {}

  // tokens: T >= 2, the parameters where they are in every later call. The mean loss over tokens 1 to T - 1, when a
  // recorded pass has computed it and left the gradients in trained's parameters. Nothing: the caller computes them as
  // without graphs. What cannot be recorded ends recording with one warning.
  std::optional<double> Compute(LanguageModel& model, FlatWeights& trained, std::span<const int32_t> tokens);

  int64_t recorded() const { return recorded_; }  // lengths
  int64_t replayed() const { return replayed_; }

 private:
  struct Bucket {
    bool seen = false;
    at::Tensor ids, targets, loss;
    std::vector<at::Tensor> tables;  // that the recorded pass reads: the model may make itself others
    std::unique_ptr<Recorded> graph;
  };
  bool Record(LanguageModel& model, FlatWeights& trained, int64_t length, Bucket* bucket);

  Recorder recorder_;  // empty after a failure
  const size_t most_lengths_;
  std::map<int64_t, Bucket> buckets_;  // by T - 1; a recorded pass holds references into it
  int64_t recorded_ = 0, replayed_ = 0;
};

}  // namespace hullft::worker
