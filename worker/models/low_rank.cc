#include "worker/models/low_rank.h"

#include <torch/csrc/autograd/custom_function.h>

namespace hullft::worker {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

// x A^T is computed again in the backward pass: it costs less than keeping it.
class AddLowRankFunction : public torch::autograd::Function<AddLowRankFunction> {
 public:
  static Variable forward(AutogradContext* context, const Variable& y, const Variable& x, const Variable& a,
                          const Variable& b, int64_t begin, double scale) {
    context->saved_data["begin"] = begin;
    context->saved_data["scale"] = scale;
    context->save_for_backward({x, a, b});
    context->mark_dirty({y});
    y.narrow(1, begin, b.size(0)).addmm_(at::mm(x, a.t()), b.t(), 1, scale);
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &a = saved[1], &b = saved[2];
    const at::Tensor part = gradients[0].narrow(1, context->saved_data["begin"].toInt(), b.size(0));
    const double scale = context->saved_data["scale"].toDouble();
    const at::Tensor inner = at::mm(part, b).mul_(scale);                  // [T, R], the gradient of x A^T
    const at::Tensor db = at::mm(part.t(), at::mm(x, a.t())).mul_(scale);  // [M, R]
    const at::Tensor dx = context->needs_input_grad(1) ? at::mm(inner, a) : at::Tensor();
    return {gradients[0], dx, at::mm(inner.t(), x), db, {}, {}};
  }
};

}  // namespace

at::Tensor AddLowRank(const at::Tensor& y, const at::Tensor& x, const Adapter& adapter) {
  return AddLowRankFunction::apply(y, x, adapter.a, adapter.b, adapter.begin, adapter.scale);
}

void MergeLowRank(const at::Tensor& weight, bool in_out, const Adapter& adapter) {
  const at::Tensor a = adapter.a.detach(), b = adapter.b.detach();
  const at::Tensor part = weight.narrow(in_out ? 1 : 0, adapter.begin, b.size(0));
  if (in_out) {
    at::Tensor(part).addmm_(a.t(), b.t(), 1, adapter.scale);
  } else {
    at::Tensor(part).addmm_(b, a, 1, adapter.scale);
  }
}

}  // namespace hullft::worker
