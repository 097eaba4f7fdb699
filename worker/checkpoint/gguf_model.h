// The model inside a GGUF file, with the names that Hugging Face gives it: its config.json and its tensors. The
// architectures are a table in gguf_architectures.cc. No Torch here. Thread safety: free functions.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "common/gguf/gguf.h"
#include "worker/checkpoint/safetensors.h"

namespace hullft::worker {

// Throws kData that names the key for an architecture or a setting that is not implemented.
nlohmann::json GgufConfig(const GgufFile& file);

// Views into the file, valid while it lives. A tensor that the architecture does not know keeps its own name. Throws
// kData that names the tensor where its type is not implemented or it does not lie in the file.
std::map<std::string, TensorView> GgufTensors(const GgufFile& file);

}  // namespace hullft::worker
