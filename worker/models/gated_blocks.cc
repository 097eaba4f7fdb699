#include "worker/models/gated_blocks.h"

#include <torch/csrc/autograd/custom_function.h>

#include "worker/models/rope.h"
#include "worker/models/weight_gradient.h"

namespace hullft::worker {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

// x / sqrt(mean of squares + epsilon), and what it was multiplied by.
struct Scaled {
  at::Tensor value, factor;  // [T, D], [T, 1]
};

Scaled Scale(const at::Tensor& x, double epsilon) {
  const at::Tensor factor = (x * x).mean({1}, true).add_(epsilon).rsqrt_();
  return {x * factor, factor};
}

// Gradients of the norm's input and weight, given that of its result. With s = x f: dx = f (w g - s mean(w g s)).
std::pair<at::Tensor, at::Tensor> NormBackward(const at::Tensor& gradient, const Scaled& scaled,
                                               const at::Tensor& weight) {
  const at::Tensor dw = (gradient * scaled.value).sum(0);
  at::Tensor dx = gradient * weight;
  const at::Tensor mean = (dx * scaled.value).mean({1}, true);
  return {dx.addcmul_(scaled.value, mean, -1).mul_(scaled.factor), dw};
}

class NormalizeFunction : public torch::autograd::Function<NormalizeFunction> {
 public:
  static Variable forward(AutogradContext* context, const Variable& x, const Variable& weight, double epsilon) {
    context->saved_data["epsilon"] = epsilon;
    context->save_for_backward({x, weight});
    return Scale(x, epsilon).value.mul_(weight);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    auto [dx, dw] = NormBackward(gradients[0], Scale(saved[0], context->saved_data["epsilon"].toDouble()), saved[1]);
    return {dx, dw, {}};
  }
};

// Gradients of gate and up, given that of activation(gate) * up.
std::pair<at::Tensor, at::Tensor> GatedBackward(const at::Tensor& gradient, const at::Tensor& gate,
                                                const at::Tensor& up, const at::Tensor& active, Activation activation) {
  return {ActivateBackward(activation, gradient * up, gate), gradient * active};
}

class GatedFunction : public torch::autograd::Function<GatedFunction> {
 public:
  static Variable forward(AutogradContext* context, const Variable& gate, const Variable& up, int64_t activation) {
    context->saved_data["activation"] = activation;
    context->save_for_backward({gate, up});
    return Activate(static_cast<Activation>(activation), gate).mul_(up);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const auto activation = static_cast<Activation>(context->saved_data["activation"].toInt());
    auto [dg, du] = GatedBackward(gradients[0], saved[0], saved[1], Activate(activation, saved[0]), activation);
    return {dg, du, {}};
  }
};

class RmsNormProjectFunction : public torch::autograd::Function<RmsNormProjectFunction> {
 public:
  static Variable forward(AutogradContext* context, const Variable& x, const Variable& norm, double epsilon,
                          int64_t precision, at::TensorList weights) {
    context->saved_data["epsilon"] = epsilon;
    context->saved_data["precision"] = precision;
    variable_list saved = {x, norm};
    saved.insert(saved.end(), weights.begin(), weights.end());
    context->save_for_backward(std::move(saved));
    return Product(Scale(x, epsilon).value.mul_(norm), Stacked(weights.vec()).t(), static_cast<Precision>(precision));
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &norm = saved[1];
    const std::vector<at::Tensor> weights(saved.begin() + 2, saved.end());
    const auto precision = static_cast<Precision>(context->saved_data["precision"].toInt());
    const at::Tensor gradient = gradients[0].contiguous();
    const Scaled scaled = Scale(x, context->saved_data["epsilon"].toDouble());
    const auto dw = StackedGradients(weights, gradient, scaled.value * norm, precision);
    auto [dx, dn] = NormBackward(Product(gradient, Stacked(weights), precision), scaled, norm);
    variable_list result = {dx, dn, {}, {}};
    result.insert(result.end(), dw.begin(), dw.end());
    return result;
  }
};

class RmsNormGatedMlpFunction : public torch::autograd::Function<RmsNormGatedMlpFunction> {
 public:
  static Variable forward(AutogradContext* context, const Variable& x, const Variable& norm, double epsilon,
                          const Variable& down, int64_t activation, int64_t precision, at::TensorList gate_up) {
    const auto chosen = static_cast<Precision>(precision);
    const at::Tensor inner =
        Product(Scale(x, epsilon).value.mul_(norm), Stacked(gate_up.vec()).t(), chosen);  // [T, 2F]
    context->saved_data["epsilon"] = epsilon;
    context->saved_data["precision"] = precision;
    context->saved_data["activation"] = activation;
    variable_list saved = {x, norm, down, inner};
    saved.insert(saved.end(), gate_up.begin(), gate_up.end());
    context->save_for_backward(std::move(saved));
    const std::vector<at::Tensor> half = inner.chunk(2, 1);
    return Product(Activate(static_cast<Activation>(activation), half[0]).mul_(half[1]), down.t(), chosen);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &norm = saved[1], &down = saved[2];
    const std::vector<at::Tensor> gate_up(saved.begin() + 4, saved.end());
    const auto activation = static_cast<Activation>(context->saved_data["activation"].toInt());
    const auto precision = static_cast<Precision>(context->saved_data["precision"].toInt());
    const at::Tensor gradient = gradients[0].contiguous();
    const std::vector<at::Tensor> half = saved[3].chunk(2, 1);
    const at::Tensor active = Activate(activation, half[0]);
    const at::Tensor ddown = WeightGradient(down, gradient.t(), active * half[1], precision);
    const at::Tensor dh = Product(gradient, down, precision);
    const auto [dgate, dup] = GatedBackward(dh, half[0], half[1], active, activation);
    const at::Tensor inner_gradient = at::cat({dgate, dup}, 1);
    const Scaled scaled = Scale(x, context->saved_data["epsilon"].toDouble());
    const auto dw = StackedGradients(gate_up, inner_gradient, scaled.value * norm, precision);
    auto [dx, dn] = NormBackward(Product(inner_gradient, Stacked(gate_up), precision), scaled, norm);
    variable_list result = {dx, dn, {}, ddown, {}, {}};
    result.insert(result.end(), dw.begin(), dw.end());
    return result;
  }
};

class RotateFunction : public torch::autograd::Function<RotateFunction> {
 public:
  static Variable forward(AutogradContext* context, const Variable& x, const at::Tensor& cos, const at::Tensor& sin) {
    context->save_for_backward({cos, sin});
    return Rope::Apply(x, cos, sin);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    return {Rope::Apply(gradients[0], saved[0], -saved[1]), {}, {}};
  }
};

}  // namespace

at::Tensor Normalize(const at::Tensor& x, const RmsNorm& norm) {
  return NormalizeFunction::apply(x, norm.weight, norm.epsilon);
}

at::Tensor Gated(const at::Tensor& gate, const at::Tensor& up, Activation activation) {
  return GatedFunction::apply(gate, up, static_cast<int64_t>(activation));
}

at::Tensor RmsNormProject(const at::Tensor& x, const RmsNorm& norm, const std::vector<at::Tensor>& weights,
                          Precision precision) {
  return RmsNormProjectFunction::apply(x, norm.weight, norm.epsilon, static_cast<int64_t>(precision),
                                       at::TensorList(weights));
}

at::Tensor RmsNormGatedMlp(const at::Tensor& x, const RmsNorm& norm, const std::vector<at::Tensor>& gate_up,
                           const at::Tensor& down, Activation activation, Precision precision) {
  return RmsNormGatedMlpFunction::apply(x, norm.weight, norm.epsilon, down, static_cast<int64_t>(activation),
                                        static_cast<int64_t>(precision), at::TensorList(gate_up));
}

at::Tensor Rotate(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  return RotateFunction::apply(x, cos, sin);
}

}  // namespace hullft::worker
