#include "coordinator/select/kernels.h"

namespace hullft::select {

extern const Kernels kBaseKernels;
#if defined(__x86_64__)
extern const Kernels kV3Kernels, kV4Kernels;
#endif

namespace {

#if defined(__x86_64__)
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
  std::vector<const Kernels*> all{&kBaseKernels};
#if defined(__x86_64__)
  if (RunsV3()) all.push_back(&kV3Kernels);
  if (RunsV4()) all.push_back(&kV4Kernels);
#endif
  return all;
}

const Kernels& BestKernels() {
  static const Kernels* const best = SupportedKernels().back();
  return *best;
}

}  // namespace hullft::select
