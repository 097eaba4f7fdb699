// Adam with reused gradients on a GPU: the arithmetic of worker/finetune/adam.h, one thread an element.
//
// One kernel does a run of r steps: read p, g, m, v once, r updates in registers, write once. Asynchronous on `stream`.
// Thread safety: as the stream. No fmt and no Error here: nvcc cannot compile them, the caller throws.
#pragma once

#include <cstdint>

#include "worker/finetune/adam.h"

namespace hullft::worker {

// All arrays of the segment are device memory of the current device. stream: a cudaStream_t, or nullptr for the
// default. Returns nullptr, or CUDA's text for a failed launch.
[[nodiscard]] const char* AdamRunCuda(const AdamSettings& settings, int64_t steps_done, int steps,
                                      const AdamSegment& segment, void* stream);

}  // namespace hullft::worker
