// A text's vector from its hidden states. Thread safety: free functions.
//
// Letters: T tokens, D width.
#pragma once

#include <ATen/ATen.h>

#include "worker/checkpoint/sentence_settings.h"

namespace hullft::worker {

// hidden: [T, D], T >= 1 -> [D]
at::Tensor Pool(const at::Tensor& hidden, Pooling pooling);

}  // namespace hullft::worker
