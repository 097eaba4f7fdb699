// HeadLoss on a GPU: the same chunks of rows and products, the rows' softmax by ATen's kernels.
//
// Log-softmax in float32, its sums in double on the device, one transfer to the host at the end. No atomics: the bits
// repeat. Works on any device that ATen has (the tests run it on the CPU). Letters as in head_loss.h.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <span>

#include "worker/finetune/head_loss.h"

namespace hullft::worker {

// Sum over the rows of log p(target). hidden [n, D] and weight [V, D] on one device; no gradient is recorded.
double DeviceLogLikelihood(const at::Tensor& hidden, const at::Tensor& weight, std::span<const int32_t> targets,
                           Precision precision = Precision::kFloat32, double logit_cap = 0);

struct DeviceLoss {
  at::Tensor loss;             // float64 scalar on the device: mean of -log p(target)
  at::Tensor hidden_gradient;  // [n, D]
};
// As DeviceWithGradients, without waiting for the device: targets int64 [n] and the loss are there.
DeviceLoss DeviceGradients(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets,
                           const at::Tensor& weight_gradient, Precision precision, double logit_cap);

// weight_gradient [V, D], on the device: where the weight's is written; undefined: it is not computed.
HeadLoss::Result DeviceWithGradients(const at::Tensor& hidden, const at::Tensor& weight,
                                     std::span<const int32_t> targets, const at::Tensor& weight_gradient,
                                     Precision precision = Precision::kFloat32, double logit_cap = 0);

}  // namespace hullft::worker
