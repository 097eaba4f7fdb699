// GPT-2's activation on the CPU: gelu by tanh, 0.5 x (1 + tanh(u)) with u = sqrt(2/pi) (x + 0.044715 x^3)
// (Hendrycks & Gimpel 2016, section 2), computed as x / (1 + exp(-2u)), which is the same and needs no tanh.
//
// Bits depend neither on the number of threads nor on the instruction set. Thread safety: free functions.
#pragma once

#include <cstdint>

namespace hullft::worker {

// y[i] = gelu(x[i]).
void GeluTanh(const float* x, float* y, int64_t n, int threads);
// gradient[i] *= gelu'(x[i]).
void GeluTanhBackward(const float* x, float* gradient, int64_t n, int threads);

}  // namespace hullft::worker
