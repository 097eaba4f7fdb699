// Pieces of a Llama layer that keep less between the passes than autograd would (as lean_blocks.h for GPT-2): norms and
// activations are computed again, projections of one input are one product. The values are those of the plain
// operations. No biases.
//
// Letters: T tokens, D width, F feed-forward width, H heads, E width of a head. float32. Any device. A call under
// NoGradGuard keeps nothing. Thread safety: free functions.
#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "worker/models/activation.h"
#include "worker/models/product.h"

namespace hullft::worker {

struct RmsNorm {
  at::Tensor weight;  // [D]
  double epsilon = 0;
};

// rms_norm(x): [T, D] -> [T, D]. Keeps x.
at::Tensor Normalize(const at::Tensor& x, const RmsNorm& norm);

// activation(gate) * up, all [T, F]. Keeps both.
at::Tensor Gated(const at::Tensor& gate, const at::Tensor& up, Activation activation);

// rms_norm(x) times weights [N_i, D] side by side: x [T, D] -> [T, N_1 + N_2 + ...]. Keeps x.
at::Tensor RmsNormProject(const at::Tensor& x, const RmsNorm& norm, const std::vector<at::Tensor>& weights,
                          Precision precision);

// (activation(n gate^T) * (n up^T)) down^T with n = rms_norm(x): [T, D] -> [T, D]. gate_up: gate and up [F, D] each, or
// one weight [2 F, D]; down [D, F]. Keeps x and the two inner products.
at::Tensor RmsNormGatedMlp(const at::Tensor& x, const RmsNorm& norm, const std::vector<at::Tensor>& gate_up,
                           const at::Tensor& down, Activation activation, Precision precision);

// Rotary embedding of all heads, Rope::Apply with a backward pass that is a rotation: x [T, H, E], cos and sin
// [T, 1, dim / 2] with dim <= E -> [T, H, E]. Keeps nothing.
at::Tensor Rotate(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin);

}  // namespace hullft::worker
