#include "worker/cuda/graph_recorder.h"

#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

#include "common/log.h"

namespace hullft::worker {
namespace {

class CudaGraph final : public Recorded {
 public:
  CudaGraph(at::cuda::MempoolId_t pool, const std::function<void()>& body) {
    c10::cuda::getCurrentCUDAStream().synchronize();  // nothing under way that the recording could get entangled with
    // Of this thread: other lanes of the process may take memory meanwhile.
    graph_.capture_begin(pool, cudaStreamCaptureModeThreadLocal);
    try {
      body();
    } catch (...) {
      End();
      throw;
    }
    graph_.capture_end();
  }
  ~CudaGraph() override {
    const cudaError_t status = cudaDeviceSynchronize();  // the device may still be at work on the last replay
    if (status != cudaSuccess) spdlog::debug("before a CUDA graph was dropped: {}", cudaGetErrorString(status));
  }
  void Replay() override { graph_.replay(); }

 private:
  // A stream that is left recording would refuse everything from then on.
  void End() {
    try {
      graph_.capture_end();
    } catch (const c10::Error& error) {
      spdlog::debug("the recording was broken off: {}", error.what_without_backtrace());
    }
    const cudaError_t status = cudaGetLastError();  // else the next launch would report it
    if (status != cudaSuccess) spdlog::debug("the recording was broken off: {}", cudaGetErrorString(status));
  }

  at::cuda::CUDAGraph graph_;
};

}  // namespace

Recorder CudaGraphRecorder() {
  return [pool = at::cuda::graph_pool_handle()](const std::function<void()>& body) -> std::unique_ptr<Recorded> {
    return std::make_unique<CudaGraph>(pool, body);
  };
}

}  // namespace hullft::worker
