// Rotary position embeddings (Su et al., arXiv 2104.09864) in the half-rotation layout of the Llama family, with the
// frequency scalings default, linear, llama3 and yarn (Peng et al., arXiv 2309.00071) as transformers defines them.
#pragma once

#include <ATen/ATen.h>

#include <utility>

#include "worker/models/config.h"

namespace hullft::worker {

class Rope {
 public:
  Rope() = default;
  // Reads rope_parameters (transformers 5) or rope_theta and rope_scaling (older). dim: width of a head, even.
  Rope(ConfigReader& config, int64_t dim, int64_t max_positions);

  // cos and sin for positions 0..T-1, each float32 [T, 1, dim/2]; the longest asked for so far is kept.
  std::pair<at::Tensor, at::Tensor> Tables(int64_t length, at::Device device);
  // x: [T, H, dim] -> the same, rotated.
  static at::Tensor Apply(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin);

 private:
  at::Tensor inverse_frequencies_;  // float32 [dim/2]
  double attention_factor_ = 1.0;   // yarn scales cos and sin
  at::Tensor cos_, sin_;            // [longest, 1, dim/2]
};

}  // namespace hullft::worker
