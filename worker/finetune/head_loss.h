// The output projection and the cross-entropy together, in chunks of rows, with a backward pass written by hand.
//
// Letters: n scored rows, D width, V vocabulary. The logits of a chunk become their own gradient in place and are used
// at once for both products, so that memory holds one chunk of logits and no copy of it (autograd keeps four of [n,
// V]). On a GPU the work is done by device_head_loss.h. One thread per object.
#pragma once

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <cstdint>
#include <span>

#include "worker/models/product.h"

namespace hullft::worker {

class HeadLoss {
 public:
  // logit_cap: LanguageModel::logit_cap().
  explicit HeadLoss(int threads, Precision precision = Precision::kFloat32, double logit_cap = 0)
      : threads_(threads), precision_(precision), logit_cap_(logit_cap) {}

  // Sum over the rows of log p(target) in nats. hidden [n, D], weight [V, D], n targets in [0, V).
  double LogLikelihood(const at::Tensor& hidden, const at::Tensor& weight, std::span<const int32_t> targets);

  struct Result {
    double loss = 0;             // mean of -log p(target)
    at::Tensor hidden_gradient;  // [n, D]
  };
  // weight_gradient: [V, D], contiguous, where the weight's gradient is written; undefined: it is not computed.
  // idle: [any], float32, memory for the chunk of logits, which is left there; undefined or too short: own memory.
  Result WithGradients(const at::Tensor& hidden, const at::Tensor& weight, std::span<const int32_t> targets,
                       const at::Tensor& weight_gradient, const at::Tensor& idle = {});

 private:
  // `x` as a factor of products: itself, or rounded to bfloat16.
  at::Tensor Factor(const at::Tensor& x) const { return precision_ == Precision::kBf16 ? x.to(at::kBFloat16) : x; }
  // Logits of rows [begin, begin + rows), in the buffer: float32 [rows, V]. hidden and weight are Factors.
  at::Tensor Logits(const at::Tensor& buffer, const at::Tensor& hidden, const at::Tensor& weight, int64_t begin,
                    int64_t rows) const;
  // One chunk's part of the gradients. first: the weight's, where it is wanted, is overwritten, not added to.
  void Gradients(const at::Tensor& logits_gradient, const at::Tensor& hidden, const at::Tensor& weight,
                 at::Tensor hidden_gradient, at::Tensor weight_gradient, bool first) const;

  int threads_;
  Precision precision_;
  double logit_cap_;
};

// Logits become c tanh(logits / c) in place; nothing where c is 0.
inline void CapLogits(at::Tensor logits, double cap) {
  if (cap > 0) logits.div_(cap).tanh_().mul_(cap);
}
// The derivative of that, by its result; undefined where c is 0.
inline at::Tensor CapDerivative(const at::Tensor& capped, double cap) {
  return cap > 0 ? 1 - (capped / cap).square_() : at::Tensor();
}

}  // namespace hullft::worker
