#include "worker/models/weight_gradient.h"

#include <torch/csrc/autograd/custom_function.h>

#include <optional>

namespace hullft::worker {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

void Write(at::Tensor place, const at::Tensor& a, const at::Tensor& b, Precision precision) {
  if (precision == Precision::kFloat32) {
    at::mm_out(place, a, b);
  } else {
    place.copy_(Product(a, b, precision));
  }
}

// Whether the matrices lie one after the other in one array.
bool Adjacent(const std::vector<at::Tensor>& parts) {
  for (size_t i = 0; i < parts.size(); ++i) {
    if (!parts[i].defined() || !parts[i].is_contiguous()) return false;
    if (i == 0) continue;
    const at::Tensor& before = parts[i - 1];
    if (!parts[i].is_alias_of(before) || parts[i].storage_offset() != before.storage_offset() + before.numel()) {
      return false;
    }
  }
  return true;
}

at::Tensor AsOne(const std::vector<at::Tensor>& parts) {
  int64_t rows = 0;
  for (const at::Tensor& part : parts) rows += part.size(0);
  const int64_t columns = parts[0].size(1);
  return parts[0].detach().as_strided({rows, columns}, {columns, 1});
}

// table[ids[i]] += rows[i], in the order of i or, on a GPU, sorted: the bits repeat.
void AddRows(at::Tensor table, const at::Tensor& ids, const at::Tensor& rows) {
  if (table.is_cpu()) {
    table.index_add_(0, ids, rows);
  } else {
    table.index_put_({ids}, rows, /*accumulate=*/true);
  }
}

class EmbedFunction : public torch::autograd::Function<EmbedFunction> {
 public:
  static Variable forward(AutogradContext* context, const Variable& weight, const std::optional<Variable>& positions,
                          const Variable& ids, bool onto, int64_t first) {
    context->saved_data["onto"] = onto;
    context->saved_data["first"] = first;
    context->save_for_backward({weight, positions ? *positions : Variable(), ids});
    at::Tensor rows = at::embedding(weight, ids);
    if (positions) rows.add_(positions->narrow(0, first, ids.size(-1)));
    return rows.view({-1, weight.size(1)});
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &weight = saved[0], &positions = saved[1], &ids = saved[2], &rows = gradients[0];
    at::Tensor dw, dp;
    if (weight.grad().defined()) {
      if (!context->saved_data["onto"].toBool()) weight.mutable_grad().zero_();
      AddRows(weight.grad(), ids.flatten(), rows);
    } else {
      dw = at::embedding_dense_backward(rows, ids.flatten(), weight.size(0), -1, false);
    }
    if (positions.defined()) {
      const int64_t first = context->saved_data["first"].toInt(), length = ids.size(-1), end = first + length;
      dp = positions.grad().defined() ? positions.grad() : at::empty_like(positions);
      dp.narrow(0, 0, first).zero_();
      dp.narrow(0, first, length).copy_(rows.view({-1, length, rows.size(1)}).sum(0));
      dp.narrow(0, end, positions.size(0) - end).zero_();
      if (positions.grad().defined()) dp.reset();
    }
    return {dw, dp, {}, {}, {}};
  }
};

}  // namespace

at::Tensor WeightGradient(const at::Tensor& weight, const at::Tensor& a, const at::Tensor& b, Precision precision) {
  if (!weight.grad().defined()) return Product(a, b, precision);
  Write(weight.grad(), a, b, precision);
  return {};
}

at::Tensor Stacked(const std::vector<at::Tensor>& parts) {
  return Adjacent(parts) ? AsOne(parts) : at::cat(parts);
}

std::vector<at::Tensor> StackedGradients(const std::vector<at::Tensor>& parts, const at::Tensor& gradient,
                                         const at::Tensor& x, Precision precision) {
  std::vector<at::Tensor> places, results(parts.size());
  for (const at::Tensor& part : parts) places.push_back(part.grad());
  if (Adjacent(places)) {
    Write(AsOne(places), gradient.t(), x, precision);
    return results;
  }
  for (int64_t i = 0, begin = 0; i < static_cast<int64_t>(parts.size()); ++i) {
    const at::Tensor& part = parts[static_cast<size_t>(i)];
    results[static_cast<size_t>(i)] = WeightGradient(part, gradient.narrow(1, begin, part.size(0)).t(), x, precision);
    begin += part.size(0);
  }
  return results;
}

at::Tensor Embed(const at::Tensor& weight, const at::Tensor& positions, const at::Tensor& ids, bool onto,
                 int64_t first) {
  return EmbedFunction::apply(weight, Maybe(positions), ids, onto, first);
}

}  // namespace hullft::worker
