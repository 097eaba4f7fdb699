#include "worker/models/lean_blocks.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include "worker/models/gelu.h"
#include "worker/models/weight_gradient.h"

namespace hullft::worker {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

struct Normed {
  at::Tensor value, mean, inverse_deviation;
};

Normed Norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double epsilon) {
  auto [value, mean, inverse_deviation] = at::native_layer_norm(x, {x.size(1)}, weight, bias, epsilon);
  return {value, mean, inverse_deviation};
}

// bias + x weight: [T, K] and [K, N] -> [T, N].
at::Tensor AddProduct(const at::Tensor& bias, const at::Tensor& x, const at::Tensor& weight, Precision precision) {
  if (precision == Precision::kFloat32) return at::addmm(bias, x, weight);
  return Product(x, weight, precision).add_(bias);
}

bool HasKernel(Activation activation, const at::Tensor& x) {
  return activation == Activation::kGeluTanh && x.is_cpu() && x.is_contiguous();
}

at::Tensor Apply(Activation activation, const at::Tensor& x) {
  if (!HasKernel(activation, x)) return Activate(activation, x);
  at::Tensor result = at::empty_like(x);
  GeluTanh(x.const_data_ptr<float>(), result.mutable_data_ptr<float>(), x.numel(), at::get_num_threads());
  return result;
}

// `gradient`, of Apply's result, becomes that of x.
at::Tensor ApplyBackward(Activation activation, at::Tensor gradient, const at::Tensor& x) {
  if (!HasKernel(activation, x)) return ActivateBackward(activation, gradient, x);
  GeluTanhBackward(x.const_data_ptr<float>(), gradient.mutable_data_ptr<float>(), x.numel(), at::get_num_threads());
  return gradient;
}

// Gradients of x, weight and bias.
std::tuple<at::Tensor, at::Tensor, at::Tensor> NormBackward(const at::Tensor& gradient, const at::Tensor& x,
                                                            const Normed& normed, const at::Tensor& weight,
                                                            const at::Tensor& bias) {
  return at::native_layer_norm_backward(gradient, x, {x.size(1)}, normed.mean, normed.inverse_deviation, weight, bias,
                                        {true, true, true});
}

class NormProjectFunction : public torch::autograd::Function<NormProjectFunction> {
 public:
  static Variable forward(AutogradContext* context, const Variable& x, const Variable& norm_weight,
                          const Variable& norm_bias, double epsilon, const Variable& weight, const Variable& bias,
                          int64_t precision) {
    context->saved_data["epsilon"] = epsilon;
    context->saved_data["precision"] = precision;
    context->save_for_backward({x, norm_weight, norm_bias, weight});
    return AddProduct(bias, Norm(x, norm_weight, norm_bias, epsilon).value, weight, static_cast<Precision>(precision));
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &norm_weight = saved[1], &norm_bias = saved[2], &weight = saved[3];
    const at::Tensor gradient = gradients[0].contiguous();
    const auto precision = static_cast<Precision>(context->saved_data["precision"].toInt());
    const Normed normed = Norm(x, norm_weight, norm_bias, context->saved_data["epsilon"].toDouble());
    at::Tensor weight_gradient = WeightGradient(weight, normed.value.t(), gradient, precision);
    auto [dx, dw, db] = NormBackward(Product(gradient, weight.t(), precision), x, normed, norm_weight, norm_bias);
    return {dx, dw, db, {}, weight_gradient, gradient.sum(0), {}};
  }
};

class NormMlpFunction : public torch::autograd::Function<NormMlpFunction> {
 public:
  static Variable forward(AutogradContext* context, const Variable& x, const Variable& norm_weight,
                          const Variable& norm_bias, const Variable& up, const Variable& up_bias, const Variable& down,
                          const Variable& down_bias, double epsilon, int64_t activation, int64_t precision) {
    const auto chosen = static_cast<Precision>(precision);
    const at::Tensor inner = AddProduct(up_bias, Norm(x, norm_weight, norm_bias, epsilon).value, up, chosen);
    context->saved_data["epsilon"] = epsilon;
    context->saved_data["precision"] = precision;
    context->saved_data["activation"] = activation;
    context->save_for_backward({x, norm_weight, norm_bias, up, down, inner});
    return AddProduct(down_bias, Apply(static_cast<Activation>(activation), inner), down, chosen);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &norm_weight = saved[1], &norm_bias = saved[2], &up = saved[3], &down = saved[4],
                     &inner = saved[5];
    const auto activation = static_cast<Activation>(context->saved_data["activation"].toInt());
    const at::Tensor gradient = gradients[0].contiguous();
    const auto precision = static_cast<Precision>(context->saved_data["precision"].toInt());
    const at::Tensor down_gradient = WeightGradient(down, Apply(activation, inner).t(), gradient, precision);
    const at::Tensor inner_gradient = ApplyBackward(activation, Product(gradient, down.t(), precision), inner);
    const Normed normed = Norm(x, norm_weight, norm_bias, context->saved_data["epsilon"].toDouble());
    const at::Tensor up_gradient = WeightGradient(up, normed.value.t(), inner_gradient, precision);
    auto [dx, dw, db] = NormBackward(Product(inner_gradient, up.t(), precision), x, normed, norm_weight, norm_bias);
    return {dx, dw, db, up_gradient, inner_gradient.sum(0), down_gradient, gradient.sum(0), {}, {}, {}};
  }
};

}  // namespace

at::Tensor NormProject(const at::Tensor& x, const at::Tensor& norm_weight, const at::Tensor& norm_bias, double epsilon,
                       const at::Tensor& weight, const at::Tensor& bias, Precision precision) {
  return NormProjectFunction::apply(x, norm_weight, norm_bias, epsilon, weight, bias, static_cast<int64_t>(precision));
}

at::Tensor NormMlp(const at::Tensor& x, const MlpWeights& w, double epsilon, Activation activation,
                   Precision precision) {
  return NormMlpFunction::apply(x, w.norm_weight, w.norm_bias, w.up, w.up_bias, w.down, w.down_bias, epsilon,
                                static_cast<int64_t>(activation), static_cast<int64_t>(precision));
}

}  // namespace hullft::worker
