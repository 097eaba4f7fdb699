#include <cmath>

#include "worker/cuda/adam_cuda.h"

namespace hullft::worker {
namespace {

constexpr int kMaxSteps = 64;  // of one launch; a longer run is cut

// The scalars of each step, computed in double on the host as in worker/finetune/adam.cc.
struct StepScalars {
  float step_size[kMaxSteps];           // lr / (1 - beta1^t)
  float inverse_sqrt_bias2[kMaxSteps];  // 1 / sqrt(1 - beta2^t)
};

struct Constants {
  float one_minus_beta1, beta2, one_minus_beta2, epsilon;
  int steps;
  bool fresh;  // m = v = 0, their memory is not read
};

// Intrinsics with fixed rounding: the compiler must not fuse multiply and add, the CPU kernel does not either.
__global__ void AdamKernel(const float* __restrict__ source, float* weights, float* m_all, float* v_all,
                           const float* __restrict__ gradient, int64_t size, Constants c, StepScalars s) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < size; i += stride) {
    const float g = gradient[i];
    const float g_squared = __fmul_rn(__fmul_rn(c.one_minus_beta2, g), g);
    float p = source[i];
    float m = c.fresh ? 0.0f : m_all[i];
    float v = c.fresh ? 0.0f : v_all[i];
    for (int t = 0; t < c.steps; ++t) {
      m = __fadd_rn(m, __fmul_rn(c.one_minus_beta1, __fsub_rn(g, m)));
      v = __fadd_rn(__fmul_rn(v, c.beta2), g_squared);
      const float denominator = __fadd_rn(__fmul_rn(__fsqrt_rn(v), s.inverse_sqrt_bias2[t]), c.epsilon);
      p = __fsub_rn(p, __fdiv_rn(__fmul_rn(s.step_size[t], m), denominator));
    }
    weights[i] = p;
    m_all[i] = m;
    v_all[i] = v;
  }
}

}  // namespace

const char* AdamRunCuda(const AdamSettings& settings, int64_t steps_done, int steps, const AdamSegment& segment, void* stream) {
  const float* source = segment.source;
  while (steps > 0 && segment.size > 0) {
    Constants c;
    c.one_minus_beta1 = static_cast<float>(1 - settings.beta1);
    c.beta2 = static_cast<float>(settings.beta2);
    c.one_minus_beta2 = static_cast<float>(1 - settings.beta2);
    c.epsilon = static_cast<float>(settings.epsilon);
    c.steps = steps < kMaxSteps ? steps : kMaxSteps;
    c.fresh = steps_done == 0;
    StepScalars s;
    for (int t = 0; t < c.steps; ++t) {
      const double number = static_cast<double>(steps_done + t + 1);
      s.step_size[t] = static_cast<float>(settings.learning_rate / (1 - std::pow(settings.beta1, number)));
      s.inverse_sqrt_bias2[t] = static_cast<float>(1 / std::sqrt(1 - std::pow(settings.beta2, number)));
    }
    constexpr int kThreads = 256;
    const int64_t blocks = (segment.size + kThreads - 1) / kThreads;
    AdamKernel<<<static_cast<unsigned>(blocks < 65536 ? blocks : 65536), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(
        source, segment.weights, segment.m, segment.v, segment.gradient, segment.size, c, s);
    const cudaError_t status = cudaGetLastError();
    if (status != cudaSuccess) return cudaGetErrorString(status);
    source = segment.weights;
    steps_done += c.steps;
    steps -= c.steps;
  }
  return nullptr;
}

}  // namespace hullft::worker
