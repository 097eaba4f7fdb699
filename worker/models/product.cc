#include "worker/models/product.h"

#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <limits>

#include "worker/device.h"
#include "worker/finetune/stage_times.h"

namespace hullft::worker {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

class Bf16ProjectFunction : public torch::autograd::Function<Bf16ProjectFunction> {
 public:
  static Variable forward(AutogradContext* context, const Variable& x, const Variable& weight, bool in_out) {
    context->saved_data["in_out"] = in_out;
    context->save_for_backward({x, weight});
    return Product(x, in_out ? weight : weight.t(), Precision::kBf16);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1];
    const bool in_out = context->saved_data["in_out"].toBool();
    const at::Tensor gradient = gradients[0].contiguous();
    const at::Tensor dx = Product(gradient, in_out ? weight.t() : weight, Precision::kBf16);
    const at::Tensor dw =
        in_out ? Product(x.t(), gradient, Precision::kBf16) : Product(gradient.t(), x, Precision::kBf16);
    return {dx, dw, {}};
  }
};

double ShortestProduct(const at::Tensor& a, const at::Tensor& b) {
  at::mm(a, b);
  double best = std::numeric_limits<double>::infinity();
  for (int i = 0; i < 3; ++i) {
    SynchronizeDevice(a.device());
    StageClock clock;
    at::mm(a, b);
    SynchronizeDevice(a.device());
    best = std::min(best, clock.Lap().wall_ms);
  }
  return best;
}

}  // namespace

at::Tensor Product(const at::Tensor& a, const at::Tensor& b, Precision precision) {
  if (precision == Precision::kFloat32) return at::mm(a, b);
  return at::mm(a.to(at::kBFloat16), b.to(at::kBFloat16)).to(at::kFloat);
}

at::Tensor Project(const at::Tensor& x, const at::Tensor& weight, bool in_out, const at::Tensor& bias,
                   Precision precision) {
  if (precision == Precision::kBf16) {
    const at::Tensor y = Bf16ProjectFunction::apply(x, weight, in_out);
    return bias.defined() ? y + bias : y;
  }
  if (!in_out) return at::linear(x, weight, bias);
  return bias.defined() ? at::addmm(bias, x, weight) : at::mm(x, weight);
}

double Bf16Speedup(at::Device device) {
  const c10::NoGradGuard no_grad;
  const at::TensorOptions options(device);
  const at::Tensor a = at::ones({512, 768}, options), b = at::ones({768, 3072}, options);
  return ShortestProduct(a, b) / ShortestProduct(a.to(at::kBFloat16), b.to(at::kBFloat16));
}

}  // namespace hullft::worker
