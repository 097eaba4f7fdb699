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

// layer_norm(x) W + b: x [T, D], W [D, O], b [O] -> [T, O]. Keeps x, not its norm.
at::Tensor NormProject(const at::Tensor& x, const at::Tensor& norm_weight, const at::Tensor& norm_bias, double epsilon,
                       const at::Tensor& weight, const at::Tensor& bias, Precision precision);

struct MlpWeights {
  at::Tensor norm_weight, norm_bias;  // [D]
  at::Tensor up, up_bias;             // [D, F], [F]
  at::Tensor down, down_bias;         // [F, D], [D]
};

// activation(layer_norm(x) up + up_bias) down + down_bias: [T, D] -> [T, D]. Keeps x and the activation's input.
at::Tensor NormMlp(const at::Tensor& x, const MlpWeights& weights, double epsilon, Activation activation,
                   Precision precision);

}  // namespace hullft::worker
