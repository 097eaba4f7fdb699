// Records CUDA graphs (GradientGraphs' Recorder) on this thread's current stream, which must not be the default one.
//
// All graphs of one recorder share a private pool of memory: what a pass needs in between lies in the same place in
// each of them. So they must be replayed one after the other, on one stream, and nothing may be kept of a pass but what
// lies outside the pool. Never run on a GPU so far (docs/limits.md). Thread safety: a recorder to a thread.
#pragma once

#include "worker/finetune/gradient_graphs.h"

namespace hullft::worker {

Recorder CudaGraphRecorder();

}  // namespace hullft::worker
