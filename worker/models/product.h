// Matrix products in the precision that was asked for.
//
// kBf16: the factors are rounded to bfloat16 (8 bits of mantissa) and multiplied with float32 sums; the result is
// rounded to bfloat16 once and goes on as float32. Weights, gradients' sums, norms, softmax and Adam stay float32.
// kFloat32 is the reference (on a GPU also what TF32 changes for the whole process: worker/device.h).
// Thread safety: free functions.
#pragma once

#include <ATen/ATen.h>

#include <optional>

namespace hullft::worker {

enum class Precision { kFloat32, kBf16 };

// a [M, K], b [K, N], float32 -> float32 [M, N]. No gradient is recorded for kBf16.
at::Tensor Product(const at::Tensor& a, const at::Tensor& b, Precision precision);

// x [T, K] times weight plus bias: float32 [T, N], with gradients in the same precision.
// in_out: weight is [K, N] as GPT-2 keeps it, else [N, K]. bias [N], or undefined.
at::Tensor Project(const at::Tensor& x, const at::Tensor& weight, bool in_out, const at::Tensor& bias,
                   Precision precision);

// What autograd's functions take for an input that may be missing.
inline std::optional<at::Tensor> Maybe(const at::Tensor& tensor) {
  return tensor.defined() ? std::optional(tensor) : std::nullopt;
}

// How many times as fast as a float32 product a bfloat16 one is on this device, from one shape (some milliseconds).
double Bf16Speedup(at::Device device);

}  // namespace hullft::worker
