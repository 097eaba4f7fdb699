// The weights of a decoder: which tensors its shape asks for, in the order in which they are laid out.
#pragma once

#include <string>
#include <vector>

#include "worker/adapter_options.h"
#include "worker/models/decoder_shape.h"
#include "worker/models/weights.h"

namespace hullft::worker {

// Indices into the parameters; -1: not there.
struct Affine {
  int weight = -1, bias = -1;
};

struct DecoderLayer {
  Affine attention_norm, q_norm, k_norm, out, attention_out_norm, attention_sum_norm;
  Affine mlp_norm, down, mlp_out_norm, mlp_sum_norm;
  std::vector<Affine> qkv;      // three weights or one
  std::vector<Affine> gate_up;  // gate and up, one weight for both, or up alone
};

struct DecoderWeights {
  int tokens = -1, positions = -1, head = -1;
  Affine norm, project_in, project_out;
  std::vector<DecoderLayer> layers;
  std::vector<AdapterPlace> adapter_places;
};

// Adds to the plan all that the shape asks for.
DecoderWeights PlanDecoder(const DecoderShape& shape, WeightPlan* plan);

}  // namespace hullft::worker
