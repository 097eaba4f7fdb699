#include "worker/system_info.h"

#include <ATen/Config.h>
#include <ATen/Context.h>
#include <ATen/Version.h>
#include <ATen/cpu/Utils.h>
#include <fmt/format.h>
#include <omp.h>
#include <torch/version.h>

#include "common/progress.h"
#ifdef HULLFT_CUDA
#include <cuda_runtime_api.h>
#endif

namespace hullft::worker {
namespace {

std::string Blas() {
  std::string text = at::get_mkl_version();
  const size_t end = text.find(" for ");
  text = text.substr(0, end);
#ifdef HULLFT_MKL_FAST_PATH
  text += ", AVX-512 path on any CPU";
#endif
  return fmt::format("{}, {} threads", text, omp_get_max_threads());
}

}  // namespace

Facts TorchFacts() {
  Facts facts = {{"LibTorch", TORCH_VERSION},
                 {"BLAS", Blas()},
                 {"oneDNN", at::get_mkldnn_version()},
                 {"CPU capability", at::get_cpu_capability()}};
#ifdef HULLFT_CUDA
  const int count = GpuCount();
  facts.emplace_back("CUDA", fmt::format("built in, {} GPU{} here", count, count == 1 ? "" : "s"));
  for (int g = 0; g < count; ++g) {
    cudaDeviceProp properties{};
    if (cudaGetDeviceProperties(&properties, g) != cudaSuccess) continue;
    facts.emplace_back(
        fmt::format("GPU {}", g),
        fmt::format("{}, {}, compute {}.{}", properties.name,
                    FormatBytes(static_cast<double>(properties.totalGlobalMem)), properties.major, properties.minor));
  }
#else
  facts.emplace_back("CUDA", "not built in (cmake -DHULLFT_CUDA=ON)");
#endif
  return facts;
}

int GpuCount() {
#ifdef HULLFT_CUDA
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
#else
  return 0;
#endif
}

}  // namespace hullft::worker
