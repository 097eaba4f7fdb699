// The architectures of GGUF files that hullft reads, a row each: what their metadata and tensors are called by Hugging
// Face and how their matrices lie (llama.cpp's gguf-py/gguf/constants.py and convert_hf_to_gguf.py). Immutable.
#pragma once

#include <span>

#include "worker/checkpoint/safetensors.h"

namespace hullft::worker {

// A key of the metadata, behind "ARCHITECTURE.", and the field of config.json that it becomes ("": none).
struct GgufKey {
  const char* key;
  const char* field;
};

// A tensor's name in the file, without ".weight" and ".bias", its name of Hugging Face, and how its matrix lies.
struct GgufName {
  const char* gguf;
  const char* name;
  TensorLayout layout = TensorLayout::kPlain;
};

struct GgufArchitecture {
  const char* name;  // general.architecture
  const char* model_type;
  std::span<const GgufKey> keys, own_keys;
  std::span<const GgufName> names, layer_names;
  const char* layers;            // before a layer's number
  bool interleaved = false;      // rows of queries and keys lie as ggml's rotation wants them
  bool norms_hold_one = false;   // the file's norms are 1 + the weight
  bool partly_rotated = false;   // rope.dimension_count may be less than a head's width
  bool head_width_given = true;  // config.json has head_dim
  const char* head_scale = "";   // the field that says of how many elements a product's scale is the inverse root; ...
  int whole_width_layers = 0;    // ... it is a head's width, but width / heads in a model of so many layers
};

std::span<const GgufArchitecture> GgufArchitectures();

}  // namespace hullft::worker
