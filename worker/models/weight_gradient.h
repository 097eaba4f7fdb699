// Gradients of weights straight into their places, and weights that lie side by side as one.
//
// A weight whose grad() is there before a backward pass (FlatWeights::PrepareGradients) has its gradient written over
// it, in one product and without a copy. Otherwise the gradient is returned, for autograd to keep or add. Any device.
// Thread safety: free functions.
#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "worker/models/product.h"

namespace hullft::worker {

// a b, the gradient of `weight`, a leaf: written into weight.grad() where it is there (the result is then undefined,
// which autograd takes for "nothing to add"), else returned.
at::Tensor WeightGradient(const at::Tensor& weight, const at::Tensor& a, const at::Tensor& b, Precision precision);

// Matrices [n_i, K] one under the other, [sum n_i, K]: a view where they lie so in memory, else a copy.
at::Tensor Stacked(const std::vector<at::Tensor>& parts);

// WeightGradient of each of the stacked parts, for y = x Stacked(parts)^T: gradient [T, sum n_i], x [T, K].
std::vector<at::Tensor> StackedGradients(const std::vector<at::Tensor>& parts, const at::Tensor& gradient,
                                         const at::Tensor& x, Precision precision);

// Rows of a table: x[i] = weight[ids[i]], plus, where positions is defined, the row of the place in its sequence. The
// backward pass overwrites both grads where they are there, or, with `onto` (a tied head has written there before),
// adds to the table's. first: the row of a sequence's first position. weight [V, D], positions [P, D], ids int64 [T] or
// [B, T] -> [T, D] or [B T, D].
at::Tensor Embed(const at::Tensor& weight, const at::Tensor& positions, const at::Tensor& ids, bool onto,
                 int64_t first = 0);

}  // namespace hullft::worker
