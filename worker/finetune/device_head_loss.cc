#include "worker/finetune/device_head_loss.h"

#include <algorithm>
#include <vector>

#include "common/error.h"
#include "worker/models/id_tensor.h"

namespace hullft::worker {
namespace {

constexpr int64_t kRows = 1024;  // rows of a chunk: two arrays of 200 MB at V = 49152

// log p(target) of every row, summed in double: a scalar on the device. log_probabilities [n, V], targets int64 [n].
at::Tensor TargetSum(const at::Tensor& log_probabilities, const at::Tensor& targets) {
  return log_probabilities.gather(1, targets.unsqueeze(1)).to(at::kDouble).sum();
}

}  // namespace

double DeviceLogLikelihood(const at::Tensor& hidden, const at::Tensor& weight, std::span<const int32_t> targets,
                           Precision precision, double logit_cap) {
  const c10::NoGradGuard no_grad;
  const auto n = static_cast<int64_t>(targets.size());
  HULLFT_CHECK(n > 0 && hidden.dim() == 2 && hidden.size(0) == n);
  const at::Tensor ids = IdTensor(targets, hidden.device());
  std::vector<at::Tensor> sums;
  for (int64_t begin = 0; begin < n; begin += kRows) {
    const int64_t rows = std::min(kRows, n - begin);
    const at::Tensor logits = Product(hidden.narrow(0, begin, rows), weight.t(), precision);
    CapLogits(logits, logit_cap);
    sums.push_back(TargetSum(at::log_softmax(logits, 1), ids.narrow(0, begin, rows)));
  }
  return at::stack(sums).sum().item<double>();
}

DeviceLoss DeviceGradients(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets,
                           const at::Tensor& weight_gradient, Precision precision, double logit_cap) {
  const c10::NoGradGuard no_grad;
  const at::Tensor h = hidden.detach(), w = weight.detach();
  const int64_t n = targets.numel();
  HULLFT_CHECK(n > 0 && h.dim() == 2 && h.size(0) == n);
  const at::Tensor columns = at::arange(w.size(0), targets.options());
  DeviceLoss result{{}, at::empty_like(h)};
  std::vector<at::Tensor> sums;
  for (int64_t begin = 0; begin < n; begin += kRows) {
    const int64_t rows = std::min(kRows, n - begin);
    const at::Tensor chunk = h.narrow(0, begin, rows), target = targets.narrow(0, begin, rows);
    const at::Tensor logits = Product(chunk, w.t(), precision);
    CapLogits(logits, logit_cap);
    const at::Tensor derivative = CapDerivative(logits, logit_cap);
    at::Tensor p = at::log_softmax(logits, 1);
    sums.push_back(TargetSum(p, target));
    // (softmax - one-hot) / n. A comparison makes the one-hot: a scatter would need atomics.
    p.exp_().sub_(columns.eq(target.unsqueeze(1)).to(at::kFloat)).div_(static_cast<double>(n));
    if (derivative.defined()) p.mul_(derivative);
    at::Tensor hidden_gradient = result.hidden_gradient.narrow(0, begin, rows);
    if (precision == Precision::kBf16) {
      hidden_gradient.copy_(Product(p, w, precision));
      if (!weight_gradient.defined()) continue;
      const at::Tensor part = Product(p.t(), chunk, precision);
      begin == 0 ? weight_gradient.copy_(part) : weight_gradient.add_(part);
      continue;
    }
    at::mm_out(hidden_gradient, p, w);
    if (!weight_gradient.defined()) continue;
    at::Tensor sum = weight_gradient;
    if (begin == 0) {
      at::mm_out(sum, p.t(), chunk);
    } else {
      sum.addmm_(p.t(), chunk);
    }
  }
  result.loss = at::stack(sums).sum().div_(-static_cast<double>(n));
  return result;
}

HeadLoss::Result DeviceWithGradients(const at::Tensor& hidden, const at::Tensor& weight,
                                     std::span<const int32_t> targets, const at::Tensor& weight_gradient,
                                     Precision precision, double logit_cap) {
  const DeviceLoss result =
      DeviceGradients(hidden, weight, IdTensor(targets, hidden.device()), weight_gradient, precision, logit_cap);
  return {result.loss.item<double>(), result.hidden_gradient};
}

}  // namespace hullft::worker
