#include "worker/models/lean_blocks.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include "common/error.h"
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

// The weight as [inputs, outputs].
at::Tensor InOut(const at::Tensor& weight, bool in_out) {
  return in_out ? weight : weight.t();
}

// bias + x weight: [T, K] -> [T, N].
at::Tensor AddProduct(const at::Tensor& bias, const at::Tensor& x, const at::Tensor& weight, bool in_out,
                      Precision precision) {
  if (precision == Precision::kFloat32) return at::addmm(bias, x, InOut(weight, in_out));
  return Product(x, InOut(weight, in_out), precision).add_(bias);
}

// The gradient of AddProduct's weight, given that of its result.
at::Tensor LinearGradient(const at::Tensor& weight, bool in_out, const at::Tensor& x, const at::Tensor& gradient,
                          Precision precision) {
  return in_out ? WeightGradient(weight, x.t(), gradient, precision)
                : WeightGradient(weight, gradient.t(), x, precision);
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
                          bool in_out, int64_t precision) {
    context->saved_data["epsilon"] = epsilon;
    context->saved_data["in_out"] = in_out;
    context->saved_data["precision"] = precision;
    context->save_for_backward({x, norm_weight, norm_bias, weight});
    return AddProduct(bias, Norm(x, norm_weight, norm_bias, epsilon).value, weight, in_out,
                      static_cast<Precision>(precision));
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &norm_weight = saved[1], &norm_bias = saved[2], &weight = saved[3];
    const at::Tensor gradient = gradients[0].contiguous();
    const auto precision = static_cast<Precision>(context->saved_data["precision"].toInt());
    const bool in_out = context->saved_data["in_out"].toBool();
    const Normed normed = Norm(x, norm_weight, norm_bias, context->saved_data["epsilon"].toDouble());
    at::Tensor weight_gradient = LinearGradient(weight, in_out, normed.value, gradient, precision);
    auto [dx, dw, db] =
        NormBackward(Product(gradient, InOut(weight, in_out).t(), precision), x, normed, norm_weight, norm_bias);
    return {dx, dw, db, {}, weight_gradient, gradient.sum(0), {}, {}};
  }
};

class NormMlpFunction : public torch::autograd::Function<NormMlpFunction> {
 public:
  static Variable forward(AutogradContext* context, const Variable& x, const Variable& norm_weight,
                          const Variable& norm_bias, const Variable& up, const Variable& up_bias, const Variable& down,
                          const Variable& down_bias, double epsilon, bool in_out, int64_t activation,
                          int64_t precision) {
    const auto chosen = static_cast<Precision>(precision);
    const at::Tensor inner = AddProduct(up_bias, Norm(x, norm_weight, norm_bias, epsilon).value, up, in_out, chosen);
    context->saved_data["epsilon"] = epsilon;
    context->saved_data["in_out"] = in_out;
    context->saved_data["precision"] = precision;
    context->saved_data["activation"] = activation;
    context->save_for_backward({x, norm_weight, norm_bias, up, down, inner});
    return AddProduct(down_bias, Apply(static_cast<Activation>(activation), inner), down, in_out, chosen);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &norm_weight = saved[1], &norm_bias = saved[2], &up = saved[3], &down = saved[4],
                     &inner = saved[5];
    const auto activation = static_cast<Activation>(context->saved_data["activation"].toInt());
    const bool in_out = context->saved_data["in_out"].toBool();
    const at::Tensor gradient = gradients[0].contiguous();
    const auto precision = static_cast<Precision>(context->saved_data["precision"].toInt());
    const at::Tensor down_gradient = LinearGradient(down, in_out, Apply(activation, inner), gradient, precision);
    const at::Tensor inner_gradient =
        ApplyBackward(activation, Product(gradient, InOut(down, in_out).t(), precision), inner);
    const Normed normed = Norm(x, norm_weight, norm_bias, context->saved_data["epsilon"].toDouble());
    const at::Tensor up_gradient = LinearGradient(up, in_out, normed.value, inner_gradient, precision);
    auto [dx, dw, db] =
        NormBackward(Product(inner_gradient, InOut(up, in_out).t(), precision), x, normed, norm_weight, norm_bias);
    return {dx, dw, db, up_gradient, inner_gradient.sum(0), down_gradient, gradient.sum(0), {}, {}, {}, {}};
  }
};

}  // namespace

at::Tensor NormProject(const at::Tensor& x, const LayerNorm& norm, const Linear& linear, Precision precision) {
  return NormProjectFunction::apply(x, norm.weight, norm.bias, norm.epsilon, linear.weight, linear.bias, linear.in_out,
                                    static_cast<int64_t>(precision));
}

at::Tensor NormMlp(const at::Tensor& x, const LayerNorm& norm, const Linear& up, const Linear& down,
                   Activation activation, Precision precision) {
  HULLFT_CHECK(up.in_out == down.in_out);
  return NormMlpFunction::apply(x, norm.weight, norm.bias, up.weight, up.bias, down.weight, down.bias, norm.epsilon,
                                up.in_out, static_cast<int64_t>(activation), static_cast<int64_t>(precision));
}

}  // namespace hullft::worker
