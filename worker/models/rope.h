// Rotary position embeddings (Su et al., arXiv 2104.09864) in the half-rotation layout of the Llama and GPT-NeoX
// families, with the frequency scalings default, linear, dynamic, llama3, yarn (Peng et al., arXiv 2309.00071) and
// longrope (Ding et al., arXiv 2402.13753) as transformers defines them.
#pragma once

#include <ATen/ATen.h>

#include <utility>

#include "worker/models/config.h"

namespace hullft::worker {

// What a model says of its heads and of the default where its configuration is silent.
struct RopeDefaults {
  int64_t head_width = 0;
  int64_t max_positions = 0;
  double theta = 10000;
  double fraction = 1;  // of a head's width that is rotated
  bool partly = false;  // the architecture heeds partial_rotary_factor; transformers ignores it elsewhere
};

class Rope {
 public:
  Rope() = default;
  // Reads rope_parameters (transformers 5) or rope_theta, rope_scaling and their older names from a config.json.
  Rope(ConfigReader& config, RopeDefaults defaults);
  // Reads one object: rope_parameters, rope_scaling, or one of several by kind of layer.
  static Rope OfObject(ConfigReader rope, const RopeDefaults& defaults);

  // cos and sin for positions 0..T-1, each float32 [T, 1, dim/2] with dim the rotated part of a head; the longest asked
  // for so far is kept.
  std::pair<at::Tensor, at::Tensor> Tables(int64_t length, at::Device device);
  // x: [T, H, E] -> the same, its first dim elements of each head rotated.
  static at::Tensor Apply(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin);

 private:
  void Read(ConfigReader& rope, const RopeDefaults& defaults);

  at::Tensor inverse_frequencies_;  // float32 [dim/2]
  at::Tensor long_frequencies_;     // longrope: those of a sequence longer than long_from_
  int64_t long_from_ = 0;
  double attention_factor_ = 1.0;  // yarn and longrope scale cos and sin
  at::Tensor cos_, sin_;           // [longest, 1, dim/2]
  bool of_long_ = false;           // which frequencies they were made of
};

}  // namespace hullft::worker
