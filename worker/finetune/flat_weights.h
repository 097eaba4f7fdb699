// The weights of a model in flat arrays: the base weights, never written after loading, and beside them what finetuning
// needs (working copy, Adam's moments), made at the first use. The model's parameters point into one of the two copies.
//
// Resetting costs nothing: UseBase() only turns pointers, and the first Adam run reads the base and writes the working
// copy. All arrays live on the model's device. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "worker/finetune/adam.h"
#include "worker/models/language_model.h"

namespace hullft::worker {

// Anonymous memory in huge pages where the system gives them. Throws kMemory. Movable.
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
  explicit FlatWeights(LanguageModel* model);

  void UseBase();     // the parameters show the base weights
  void UseWorking();  // ... the working copy, valid after an Adam run over Segments()

  // One segment a parameter. fresh: the run starts from the base. Gradients are taken from the parameters (contiguous
  // copies are made where they are not) and must all be there (kInternal); valid until they change.
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
  LanguageModel* model_;
  at::Tensor base_;
  int64_t count_ = 0;
  void MakeBuffers();

  FlatBuffer buffers_[3];       // the memory of the next three on the CPU
  at::Tensor working_, m_, v_;  // the layout and device of base_
};

}  // namespace hullft::worker
