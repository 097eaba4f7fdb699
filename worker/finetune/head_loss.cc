#include "worker/finetune/head_loss.h"

#include <algorithm>
#include <vector>

#include "common/error.h"
#include "worker/finetune/device_head_loss.h"
#include "worker/finetune/row_softmax.h"

namespace hullft::worker {
namespace {

constexpr int64_t kRows = 256;  // rows of a chunk: 50 MB of logits at V = 49152, and products still at full speed

void CheckShapes(const at::Tensor& hidden, const at::Tensor& weight, std::span<const int32_t> targets) {
  HULLFT_CHECK(hidden.dim() == 2 && weight.dim() == 2 && hidden.size(1) == weight.size(1));
  HULLFT_CHECK(hidden.size(0) == static_cast<int64_t>(targets.size()) && !targets.empty());
}

// In the order of the rows: the result does not depend on the threads.
double Sum(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum;
}

// [kRows or n, V], float32.
at::Tensor Buffer(const at::Tensor& weight, int64_t n, const at::Tensor& idle) {
  const int64_t rows = std::min(kRows, n), elements = rows * weight.size(0);
  if (idle.defined() && idle.numel() >= elements) return idle.narrow(0, 0, elements).view({rows, weight.size(0)});
  return at::empty({rows, weight.size(0)}, weight.options().dtype(at::kFloat).requires_grad(false));
}

}  // namespace

at::Tensor HeadLoss::Logits(const at::Tensor& buffer, const at::Tensor& hidden, const at::Tensor& weight, int64_t begin,
                            int64_t rows) const {
  at::Tensor logits = buffer.narrow(0, 0, rows);
  if (precision_ == Precision::kBf16) {
    logits.copy_(at::mm(hidden.narrow(0, begin, rows), weight.t()));
  } else {
    at::mm_out(logits, hidden.narrow(0, begin, rows), weight.t());
  }
  CapLogits(logits, logit_cap_);
  return logits;
}

double HeadLoss::LogLikelihood(const at::Tensor& hidden, const at::Tensor& weight, std::span<const int32_t> targets) {
  CheckShapes(hidden, weight, targets);
  const c10::NoGradGuard no_grad;
  if (!hidden.is_cpu()) return DeviceLogLikelihood(hidden, weight, targets, precision_, logit_cap_);
  const at::Tensor h = Factor(hidden), w = Factor(weight);
  const auto n = static_cast<int64_t>(targets.size());
  std::vector<double> log_probabilities(targets.size());
  const at::Tensor buffer = Buffer(w, n, {});
  for (int64_t begin = 0; begin < n; begin += kRows) {
    const int64_t rows = std::min(kRows, n - begin);
    const at::Tensor logits = Logits(buffer, h, w, begin, rows);
    LogProbabilityRows(logits.const_data_ptr<float>(), rows, weight.size(0), targets.data() + begin,
                       log_probabilities.data() + begin, threads_);
  }
  return Sum(log_probabilities);
}

void HeadLoss::Gradients(const at::Tensor& logits_gradient, const at::Tensor& hidden, const at::Tensor& weight,
                         at::Tensor hidden_gradient, at::Tensor weight_gradient, bool first) const {
  if (precision_ == Precision::kBf16) {
    const at::Tensor factor = Factor(logits_gradient);
    hidden_gradient.copy_(at::mm(factor, weight));
    if (!weight_gradient.defined()) return;
    const at::Tensor part = at::mm(factor.t(), hidden);
    first ? weight_gradient.copy_(part) : weight_gradient.add_(part);
    return;
  }
  at::mm_out(hidden_gradient, logits_gradient, weight);
  if (!weight_gradient.defined()) return;
  if (first) {
    at::mm_out(weight_gradient, logits_gradient.t(), hidden);
  } else {
    weight_gradient.addmm_(logits_gradient.t(), hidden);
  }
}

HeadLoss::Result HeadLoss::WithGradients(const at::Tensor& hidden, const at::Tensor& weight,
                                         std::span<const int32_t> targets, const at::Tensor& weight_gradient,
                                         const at::Tensor& idle) {
  CheckShapes(hidden, weight, targets);
  const c10::NoGradGuard no_grad;
  const auto n = static_cast<int64_t>(targets.size());
  if (!hidden.is_cpu()) return DeviceWithGradients(hidden, weight, targets, weight_gradient, precision_, logit_cap_);
  const at::Tensor h = Factor(hidden.detach()), w = Factor(weight.detach());
  Result result{0, at::empty_like(hidden.detach())};
  std::vector<double> log_probabilities(targets.size());
  const at::Tensor buffer = Buffer(w, n, idle);
  for (int64_t begin = 0; begin < n; begin += kRows) {
    const int64_t rows = std::min(kRows, n - begin);
    const at::Tensor logits = Logits(buffer, h, w, begin, rows), derivative = CapDerivative(logits, logit_cap_);
    CrossEntropyRows(logits.mutable_data_ptr<float>(), rows, w.size(0), targets.data() + begin,
                     static_cast<float>(1.0 / static_cast<double>(n)), log_probabilities.data() + begin, threads_);
    if (derivative.defined()) logits.mul_(derivative);
    Gradients(logits, h.narrow(0, begin, rows), w, result.hidden_gradient.narrow(0, begin, rows), weight_gradient,
              begin == 0);
  }
  result.loss = -Sum(log_probabilities) / static_cast<double>(n);
  return result;
}

}  // namespace hullft::worker
