// The low-rank addition to a projection, with its gradients (worker/adapter_options.h).
//
// Letters: T tokens, K inputs, N outputs of the weight, M of them adapted, R rank. float32. Any device.
// Thread safety: free functions.
#pragma once

#include <ATen/ATen.h>

namespace hullft::worker {

// What is added to outputs [begin, begin + M): scale (x A^T) B^T.
struct Adapter {
  int64_t begin = 0;
  double scale = 1;
  at::Tensor a, b;  // [R, K], [M, R]
};

// y [T, N], the result of a projection of x [T, K], with the adapter's part added in place. y must not be a view, nor
// kept for another function's backward pass.
at::Tensor AddLowRank(const at::Tensor& y, const at::Tensor& x, const Adapter& adapter);

// Adds the adapter to a copy of the projection's weight, in place: [K, N] where in_out, else [N, K].
void MergeLowRank(const at::Tensor& weight, bool in_out, const Adapter& adapter);

}  // namespace hullft::worker
