// The activation functions that configurations name, with transformers' names.
#pragma once

#include <ATen/ATen.h>

#include <string>

#include "worker/models/config.h"

namespace hullft::worker {

enum class Activation { kGelu, kGeluTanh, kSilu, kRelu };

inline Activation ReadActivation(ConfigReader& config, const std::string& field, const std::string& fallback) {
  const std::string name = config.Text(field, fallback);
  if (name == "gelu") return Activation::kGelu;
  if (name == "gelu_new" || name == "gelu_pytorch_tanh") return Activation::kGeluTanh;
  if (name == "silu" || name == "swish") return Activation::kSilu;
  if (name == "relu") return Activation::kRelu;
  throw config.Unsupported(field, "this activation is not implemented");
}

inline at::Tensor Activate(Activation activation, const at::Tensor& x) {
  switch (activation) {
    case Activation::kGelu:
      return at::gelu(x);
    case Activation::kGeluTanh:
      return at::gelu(x, "tanh");
    case Activation::kSilu:
      return at::silu(x);
    case Activation::kRelu:
      return at::relu(x);
  }
  return {};
}

// The gradient of Activate(activation, x), given that of its result.
inline at::Tensor ActivateBackward(Activation activation, const at::Tensor& gradient, const at::Tensor& x) {
  switch (activation) {
    case Activation::kGelu:
      return at::gelu_backward(gradient, x);
    case Activation::kGeluTanh:
      return at::gelu_backward(gradient, x, "tanh");
    case Activation::kSilu:
      return at::silu_backward(gradient, x);
    case Activation::kRelu:
      return at::threshold_backward(gradient, x, 0);
  }
  return {};
}

}  // namespace hullft::worker
