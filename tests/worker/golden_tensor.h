// Reads a tensor of a golden .safetensors file into Torch, and finds the models that scripts/get_models brings.
#pragma once

#include <ATen/ATen.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>

#include "common/error.h"
#include "worker/checkpoint/safetensors.h"

namespace hullft::worker {

inline at::Tensor Golden(const SafetensorsFile& file, const std::string& name) {
  const TensorView& view = file.tensors().at(name);
  at::Tensor tensor = at::empty(view.shape, view.dtype == "I64" ? at::kLong : at::kFloat);
  HULLFT_CHECK(static_cast<size_t>(tensor.nbytes()) == view.bytes.size());
  std::memcpy(tensor.data_ptr(), view.bytes.data(), view.bytes.size());
  return tensor;
}

// A folder under data/models (or HULLFT_DATA/models); throws, with a hint, when it is missing.
inline std::filesystem::path RealModel(const std::string& name) {
  const char* data = std::getenv("HULLFT_DATA");
  const auto folder = std::filesystem::path(data != nullptr ? data : HULLFT_SOURCE_DIR "/data") / "models" / name;
  if (!std::filesystem::exists(folder / "config.json")) {
    throw Error(Code::kData, folder.string() + " is missing",
                "scripts/get_models fetches the models, scripts/test calls it");
  }
  return folder;
}

}  // namespace hullft::worker
