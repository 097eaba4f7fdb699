#include "worker/models/product.h"

#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <limits>

#include "worker/device.h"
#include "worker/finetune/stage_times.h"
#include "worker/models/weight_gradient.h"

namespace hullft::worker {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

class ProjectFunction : public torch::autograd::Function<ProjectFunction> {
 public:
  static Variable forward(AutogradContext* context, const Variable& x, const Variable& weight,
                          const std::optional<Variable>& bias, bool in_out, int64_t precision) {
    context->saved_data["in_out"] = in_out;
    context->saved_data["precision"] = precision;
    context->saved_data["bias"] = bias.has_value();
    context->save_for_backward({weight.requires_grad() ? x : Variable(), weight});  // a frozen weight needs no input
    const at::Tensor turned = in_out ? weight : weight.t();
    if (bias && static_cast<Precision>(precision) == Precision::kFloat32) return at::addmm(*bias, x, turned);
    at::Tensor y = Product(x, turned, static_cast<Precision>(precision));
    return bias ? y.add_(*bias) : y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1];
    const bool in_out = context->saved_data["in_out"].toBool();
    const auto precision = static_cast<Precision>(context->saved_data["precision"].toInt());
    const at::Tensor gradient = gradients[0].contiguous();
    at::Tensor dx, dw, db;
    if (context->needs_input_grad(0)) dx = Product(gradient, in_out ? weight.t() : weight, precision);
    if (context->needs_input_grad(1)) {
      dw = in_out ? WeightGradient(weight, x.t(), gradient, precision)
                  : WeightGradient(weight, gradient.t(), x, precision);
    }
    if (context->saved_data["bias"].toBool() && context->needs_input_grad(2)) db = gradient.sum(0);
    return {dx, dw, db, {}, {}};
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
  return ProjectFunction::apply(x, weight, Maybe(bias), in_out, static_cast<int64_t>(precision));
}

double Bf16Speedup(at::Device device) {
  const c10::NoGradGuard no_grad;
  const at::TensorOptions options(device);
  const at::Tensor a = at::ones({512, 768}, options), b = at::ones({768, 3072}, options);
  return ShortestProduct(a, b) / ShortestProduct(a.to(at::kBFloat16), b.to(at::kBFloat16));
}

}  // namespace hullft::worker
