#include "coordinator/select/kernels.h"

#include <cstring>

namespace hullft::select {
namespace {

// GCC and Clang vectors of W lanes, the register width of each instruction set (a wider type than the registers is
// lowered through the stack, at five times the cost).
template <int W>
struct Wide {
  using Doubles [[gnu::vector_size(W * sizeof(double))]] = double;
  using Floats [[gnu::vector_size(W * sizeof(float))]] = float;
};

#define HULLFT_INLINE static inline __attribute__((always_inline))

template <int W>
HULLFT_INLINE void Load(const double* from, typename Wide<W>::Doubles* to) {
  std::memcpy(to, from, sizeof(*to));
}
template <int W>
HULLFT_INLINE void Load(const float* from, typename Wide<W>::Doubles* to) {
  typename Wide<W>::Floats narrow;
  std::memcpy(&narrow, from, sizeof(narrow));
  *to = __builtin_convertvector(narrow, typename Wide<W>::Doubles);
}

template <int W, class T>
HULLFT_INLINE double LaneDot(const T* a, const double* b, int d) {
  typename Wide<W>::Doubles sum[kLanes / W] = {};
  int i = 0;
  for (; i + kLanes <= d; i += kLanes) {
#pragma GCC unroll 8
    for (int part = 0; part < kLanes / W; ++part) {
      typename Wide<W>::Doubles x, y;
      Load<W>(a + i + part * W, &x);
      Load<W>(b + i + part * W, &y);
      sum[part] += x * y;
    }
  }
  double lane[kLanes];
  std::memcpy(lane, sum, sizeof(lane));
  for (int l = 0; i + l < d; ++l) lane[l] += static_cast<double>(a[i + l]) * b[i + l];
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int l = 0; l < half; ++l) lane[l] += lane[l + half];
  }
  return lane[0];
}

template <int W>
HULLFT_INLINE void LaneRowDots(const float* rows, int k, int d, const double* v, double* out) {
  for (int i = 0; i < k; ++i) out[i] = LaneDot<W>(rows + static_cast<long>(i) * d, v, d);
}

#define HULLFT_VARIANT(suffix, width, attribute)                                                  \
  attribute void RowDots##suffix(const float* rows, int k, int d, const double* v, double* out) { \
    LaneRowDots<width>(rows, k, d, v, out);                                                       \
  }                                                                                               \
  attribute double Dot##suffix(const double* a, const double* b, int d) {                         \
    return LaneDot<width>(a, b, d);                                                               \
  }

HULLFT_VARIANT(Base, 2, )
constexpr Kernels kBase{"base", RowDotsBase, DotBase};
#if defined(__x86_64__)
HULLFT_VARIANT(V3, 4, __attribute__((target("arch=x86-64-v3"))))
HULLFT_VARIANT(V4, 8, __attribute__((target("arch=x86-64-v4,prefer-vector-width=512"))))
constexpr Kernels kV3{"x86-64-v3", RowDotsV3, DotV3};
constexpr Kernels kV4{"x86-64-v4", RowDotsV4, DotV4};
bool RunsV3() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
         __builtin_cpu_supports("bmi2");
}
bool RunsV4() {
  return RunsV3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

}  // namespace

std::vector<const Kernels*> SupportedKernels() {
  std::vector<const Kernels*> all{&kBase};
#if defined(__x86_64__)
  if (RunsV3()) all.push_back(&kV3);
  if (RunsV4()) all.push_back(&kV4);
#endif
  return all;
}

const Kernels& BestKernels() {
  static const Kernels* const best = SupportedKernels().back();
  return *best;
}

}  // namespace hullft::select
