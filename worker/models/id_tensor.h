// Token ids as a tensor.
#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdint>
#include <span>

namespace hullft::worker {

// int64 [T] on the device, for LanguageModel::Hidden and tables of embeddings.
inline at::Tensor IdTensor(std::span<const int32_t> ids, at::Device device = at::kCPU) {
  const at::Tensor tensor = at::empty({static_cast<int64_t>(ids.size())}, at::TensorOptions(at::kLong));
  std::ranges::copy(ids, tensor.mutable_data_ptr<int64_t>());
  return tensor.to(device);
}

}  // namespace hullft::worker
