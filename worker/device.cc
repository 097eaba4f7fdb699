#include "worker/device.h"

#include <ATen/Context.h>
#include <ATen/Version.h>
#include <ATen/cpu/Utils.h>
#include <c10/core/DeviceGuard.h>
#include <fmt/core.h>
#include <torch/version.h>

#include <charconv>
#include <cstdlib>
#include <fstream>

#include "common/error.h"
#include "worker/memory_plan.h"
#include "worker/system_info.h"
#ifdef HULLFT_CUDA
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>
#endif

namespace hullft::worker {
namespace {

#ifdef HULLFT_CUDA
constexpr bool kCudaBuilt = true;
#else
constexpr bool kCudaBuilt = false;
#endif

// The N of "cuda:N"; -1 when the name is something else.
int GpuIndex(const std::string& name) {
  if (name == "cuda") return 0;
  constexpr std::string_view kPrefix = "cuda:";
  if (!name.starts_with(kPrefix)) return -1;
  int index = -1;
  const char* const end = name.data() + name.size();
  const auto [stop, fault] = std::from_chars(name.data() + kPrefix.size(), end, index);
  return fault == std::errc() && stop == end ? index : -1;
}

// Matrix libraries choose kernels by the model, and so do their bits.
std::string CpuName() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

}  // namespace

c10::Device ParseDevice(const std::string& name) {
  if (name == "cpu") return {c10::DeviceType::CPU};
  const int index = GpuIndex(name);
  if (index < 0) throw Error(Code::kUsage, fmt::format("device '{}' is unknown", name), "use cpu, cuda or cuda:N");
  if (!kCudaBuilt) {
    throw Error(Code::kUsage, fmt::format("device '{}': this build has no CUDA", name),
                "use cpu, or build with cmake --preset cuda");
  }
  const int count = GpuCount();
  if (index >= count) {
    throw Error(Code::kUsage, fmt::format("device '{}': this machine has {} GPU{}", name, count, count == 1 ? "" : "s"),
                "GPUs count from 0; CUDA_VISIBLE_DEVICES, the driver or the job's --gpus may hide them");
  }
  return {c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(index)};
}

std::string ChooseDevice(const std::string& wish, int node_rank) {
  if (wish != "auto") return wish;
  const int gpus = GpuCount();
  return gpus == 0 ? "cpu" : fmt::format("cuda:{}", node_rank % gpus);
}

std::string DeviceIdentity(c10::Device device) {
  if (device.is_cpu()) return "cpu";
#ifdef HULLFT_CUDA
  char address[32] = {};
  const cudaError_t status = cudaDeviceGetPCIBusId(address, sizeof address, device.index());
  if (status != cudaSuccess) {
    throw Error(Code::kInternal,
                fmt::format("GPU {}: cudaDeviceGetPCIBusId: {}", device.index(), cudaGetErrorString(status)));
  }
  return address;
#else
  return device.str();
#endif
}

void InitDevice(c10::Device device, bool tf32) {
  if (device.is_cpu()) return;
  ::setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);  // ignored: read when cuBLAS starts; it demands this
  // Sequences of many lengths would break fixed segments up into pieces that fit nothing. Read when ATen first takes
  // memory there; what the user says stands.
  if (std::getenv("PYTORCH_CUDA_ALLOC_CONF") == nullptr)
    ::setenv("PYTORCH_ALLOC_CONF", "expandable_segments:True", /*overwrite=*/0);  // ignored: a wish
  at::Context& context = at::globalContext();
  context.setDeterministicAlgorithms(true, /*warn_only=*/false);
  context.setDeterministicFillUninitializedMemory(false);  // a debugging aid that costs a pass over every new tensor
  context.setFloat32MatmulPrecision(tf32 ? "high" : "highest");
}

std::string Arithmetic(c10::Device device, int threads, const std::string& precision) {
  if (device.is_cpu()) {
    return fmt::format("cpu {}, {}, {} threads, {}, LibTorch {}, {}", CpuName(), at::get_cpu_capability(), threads,
                       precision, TORCH_VERSION, at::get_mkl_version());
  }
  std::string name = "GPU";
#ifdef HULLFT_CUDA
  cudaDeviceProp properties{};
  if (cudaGetDeviceProperties(&properties, device.index()) == cudaSuccess) name = properties.name;
#endif
  return fmt::format("{}, {}, LibTorch {}", name, precision, TORCH_VERSION);
}

int64_t FreeMemory(c10::Device device) {
  if (device.is_cpu()) return FreeHostMemory();
#ifdef HULLFT_CUDA
  size_t free = 0, total = 0;
  const c10::DeviceGuard guard(device);
  if (cudaMemGetInfo(&free, &total) == cudaSuccess) return static_cast<int64_t>(free);
#endif
  return -1;
}

void SynchronizeDevice(c10::Device device) {
#ifdef HULLFT_CUDA
  if (device.is_cuda()) c10::cuda::getCurrentCUDAStream(device.index()).synchronize();
#else
  HULLFT_CHECK(device.is_cpu());
#endif
}

}  // namespace hullft::worker
