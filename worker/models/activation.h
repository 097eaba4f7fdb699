// The activation functions that configurations name, with transformers' names.
#pragma once

#include <ATen/ATen.h>

#include <string>

#include "worker/models/config.h"

namespace hullft::worker {

enum class Activation { kGelu, kGeluTanh, kSilu, kRelu };

inline Activation ReadActivation(ConfigReader& config, const std::string& field, const std::string& fallback) {
  const std::string name = config.Text(field, fallback);
  if (name == "gelu" || name == "gelu_python") return Activation::kGelu;
  for (const char* tanh : {"gelu_new", "gelu_pytorch_tanh", "gelu_python_tanh", "gelu_fast", "gelu_accurate"}) {
    if (name == tanh) return Activation::kGeluTanh;  // one formula, written down in five ways
  }
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
