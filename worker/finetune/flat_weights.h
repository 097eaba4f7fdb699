// The weights of a model, or its adapters, in flat arrays: the base weights, never written after loading, and beside
// them what finetuning needs (working copy, Adam's moments, gradient). The model's parameters point into one of the two
// copies.
//
// Resetting costs nothing: UseBase() only turns pointers, and the first Adam run reads the base and writes the working
// copy. All arrays live on the model's device. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "worker/finetune/adam.h"
#include "worker/models/flat_parameters.h"

namespace hullft::worker {

// Anonymous memory, all of it there from the start, in huge pages where the system gives them. Throws kMemory. Movable.
class FlatBuffer {
 public:
  FlatBuffer() = default;
  // `floats` elements, uninitialised (zero). index: buffers used together have different ones; it staggers their
  // starts, because arrays that start at equal places of a page fight for the same cache sets (20% of Adam's time).
  FlatBuffer(int64_t floats, int index);
  FlatBuffer(FlatBuffer&& other) noexcept;
  FlatBuffer& operator=(FlatBuffer&& other) noexcept;
  ~FlatBuffer();
  float* data() const { return data_; }

 private:
  void* memory_ = nullptr;
  size_t bytes_ = 0;
  float* data_ = nullptr;
};

class FlatWeights {
 public:
  // Takes the model's weights as they are now as the base. The model must outlive this object.
  explicit FlatWeights(FlatParameters* model);

  // Once, before finetuning: makes the arrays beside the base, on the CPU with their pages there, so that missing
  // memory shows now (kMemory) and no measured step pays for finding and clearing gigabytes.
  void Reserve();

  void UseBase();     // the parameters show the base weights
  void UseWorking();  // ... the working copy, valid after an Adam run over Segments()

  // Before a backward pass: gives every parameter that it overwrites its place in the flat gradient.
  void PrepareGradients();
  // After a backward pass: copies the gradients that are not in the flat array yet there.
  void GatherGradients();
  // The parameters' gradients are what lies in the flat array, as GatherGradients left it.
  void ShowGradients();
  // After PrepareGradients: memory that the backward pass will overwrite and that nobody reads until then, the longest
  // stretch without `kept`'s gradient. Undefined if there is none.
  at::Tensor IdleGradient(const at::Tensor& kept) const;
  // One segment a parameter. fresh: the run starts from the base. Gradients are taken from where the parameters
  // have them (contiguous copies are made where they are not) and must all be there (kInternal); valid until they
  // change.
  std::vector<AdamSegment> Segments(bool fresh);
  void DropGradients();
  // On the model's device, on this thread's current stream there: AdamRun and GradientNorm of adam.h. threads: CPU
  // only.
  void RunAdam(const AdamSettings& settings, int64_t steps_done, int steps, const std::vector<AdamSegment>& segments,
               int threads);
  double GradientsNorm(const std::vector<AdamSegment>& segments, int threads) const;

  int64_t parameters() const { return count_; }
  float* base() { return base_.mutable_data_ptr<float>(); }
  int64_t base_elements() const { return base_.numel(); }
  // Hash of names, shapes and base weights, the same on every device.
  std::string Digest() const;

 private:
  FlatParameters* model_;
  at::Tensor base_;
  int64_t count_ = 0;
  at::Tensor GradientPlace(const Parameter& parameter) const;
  // Uninitialised, in the layout and on the device of base_; the memory of the CPU's is buffers_[index].
  at::Tensor MakeArray(int index);

  FlatBuffer buffers_[4];
  at::Tensor working_, m_, v_, gradient_;
};

}  // namespace hullft::worker
