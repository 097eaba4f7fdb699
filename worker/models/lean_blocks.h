// Pieces of a transformer layer with backward passes of their own, which keep less than autograd would: what is cheap
// to compute again (norms, activations) is not kept between the passes. The values are those of the plain operations.
//
// Letters: T tokens, D width, F feed-forward width, O outputs. float32, contiguous. Any device. A call under
// NoGradGuard keeps nothing. Thread safety: free functions.
#pragma once

#include <ATen/ATen.h>

#include "worker/models/activation.h"
#include "worker/models/product.h"

namespace hullft::worker {

struct LayerNorm {
  at::Tensor weight, bias;  // [D]
  double epsilon = 0;
};

// x -> x W + b
struct Linear {
  at::Tensor weight, bias;  // [inputs, outputs] where in_out, else [outputs, inputs]; [outputs]
  bool in_out = false;
};

// linear(layer_norm(x)): x [T, D] -> [T, O]. Keeps x, not its norm.
at::Tensor NormProject(const at::Tensor& x, const LayerNorm& norm, const Linear& linear, Precision precision);

// down(activation(up(layer_norm(x)))): [T, D] -> [T, D]. Keeps x and the activation's input.
at::Tensor NormMlp(const at::Tensor& x, const LayerNorm& norm, const Linear& up, const Linear& down,
                   Activation activation, Precision precision);

}  // namespace hullft::worker
