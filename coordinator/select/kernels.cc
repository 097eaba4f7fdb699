#include "coordinator/select/kernels.h"

#include <cstring>

namespace hullft::select {
namespace {

// GCC and Clang vectors: each function below lowers them to its own instruction set, lane by lane the same arithmetic.
using Doubles = double __attribute__((vector_size(8 * sizeof(double))));
using Floats = float __attribute__((vector_size(8 * sizeof(float))));

#define HULLFT_INLINE static inline __attribute__((always_inline))

HULLFT_INLINE void Load(const double* from, Doubles* to) {
  std::memcpy(to, from, sizeof(*to));
}
HULLFT_INLINE void Load(const float* from, Doubles* to) {
  Floats narrow;
  std::memcpy(&narrow, from, sizeof(narrow));
  *to = __builtin_convertvector(narrow, Doubles);
}

template <class T>
HULLFT_INLINE double LaneDot(const T* a, const double* b, int d) {
  Doubles low{}, high{};
  int i = 0;
  for (; i + kLanes <= d; i += kLanes) {
    Doubles a0, a1, b0, b1;
    Load(a + i, &a0);
    Load(a + i + 8, &a1);
    Load(b + i, &b0);
    Load(b + i + 8, &b1);
    low += a0 * b0;
    high += a1 * b1;
  }
  double lane[kLanes];
  std::memcpy(lane, &low, sizeof(low));
  std::memcpy(lane + 8, &high, sizeof(high));
  for (int l = 0; i + l < d; ++l) lane[l] += static_cast<double>(a[i + l]) * b[i + l];
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int l = 0; l < half; ++l) lane[l] += lane[l + half];
  }
  return lane[0];
}

HULLFT_INLINE void LaneRowDots(const float* rows, int k, int d, const double* v, double* out) {
  for (int i = 0; i < k; ++i) out[i] = LaneDot(rows + static_cast<long>(i) * d, v, d);
}

#define HULLFT_VARIANT(suffix, attribute)                                                         \
  attribute void RowDots##suffix(const float* rows, int k, int d, const double* v, double* out) { \
    LaneRowDots(rows, k, d, v, out);                                                              \
  }                                                                                               \
  attribute double Dot##suffix(const double* a, const double* b, int d) {                         \
    return LaneDot(a, b, d);                                                                      \
  }

HULLFT_VARIANT(Base, )
constexpr Kernels kBase{"base", RowDotsBase, DotBase};
#if defined(__x86_64__)
HULLFT_VARIANT(V3, __attribute__((target("arch=x86-64-v3"))))
HULLFT_VARIANT(V4, __attribute__((target("arch=x86-64-v4,prefer-vector-width=512"))))
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
