#include "worker/cuda/nccl.h"

#include <cuda_runtime_api.h>
#include <nccl.h>

#include <cstring>

#include "common/error.h"
#include "worker/cuda/watchdog.h"

namespace hullft::worker {
namespace {

// NCCL cuts nothing itself above this; larger buffers go in pieces so that the watchdog sees progress.
constexpr int64_t kPieceFloats = int64_t{256} << 20;  // 1 GiB

void CheckCuda(cudaError_t status, const char* what) {
  if (status != cudaSuccess) throw Error(Code::kInternal, fmt::format("{}: {}", what, cudaGetErrorString(status)));
}

}  // namespace

struct NcclGroup::Impl {
  int rank = 0, device = 0;
  std::chrono::milliseconds timeout{};
  ncclComm_t comm = nullptr;
  cudaStream_t stream = nullptr;

  [[noreturn]] void Fail(const char* what, ncclResult_t status) {
    throw Error(Code::kPeer,
                fmt::format("NCCL {}: {}, {} (rank {}, GPU {}, host {})", what, ncclGetErrorString(status),
                            comm != nullptr ? ncclGetLastError(comm) : "no communicator", rank, device, HostName()));
  }
  // A non-blocking call is over when the group's state is no longer "in progress".
  void Settle(const char* what, ncclResult_t status) {
    if (status != ncclSuccess && status != ncclInProgress) Fail(what, status);
    WaitOrThrow(std::string("NCCL ") + what, rank, timeout, [&] {
      ncclResult_t state = ncclSuccess;
      const ncclResult_t asked = ncclCommGetAsyncError(comm, &state);
      if (asked != ncclSuccess) Fail(what, asked);
      if (state != ncclSuccess && state != ncclInProgress) Fail(what, state);
      return state == ncclSuccess;
    });
  }
  ~Impl() {
    // Abort, not destroy: it needs no answer from the peers, who may be gone.
    if (comm != nullptr) ncclCommAbort(comm);          // ignored: the process is done with it either way
    if (stream != nullptr) cudaStreamDestroy(stream);  // ignored: likewise
  }
};

std::string NcclGroup::NewId() {
  ncclUniqueId id;
  const ncclResult_t status = ncclGetUniqueId(&id);
  if (status != ncclSuccess) {
    throw Error(Code::kInternal, fmt::format("ncclGetUniqueId: {}", ncclGetErrorString(status)),
                "NCCL finds no network interface: see NCCL_SOCKET_IFNAME");
  }
  return {id.internal, sizeof id.internal};
}

NcclGroup::NcclGroup(const std::string& id, int rank, int size, int device, std::chrono::milliseconds timeout)
    : impl_(std::make_unique<Impl>()) {
  impl_->rank = rank;
  impl_->device = device;
  impl_->timeout = timeout;
  ncclUniqueId unique;
  HULLFT_CHECK(id.size() == sizeof unique.internal);
  std::memcpy(unique.internal, id.data(), id.size());
  CheckCuda(cudaSetDevice(device), "cudaSetDevice");
  CheckCuda(cudaStreamCreateWithFlags(&impl_->stream, cudaStreamNonBlocking), "cudaStreamCreate");
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  impl_->Settle("init", ncclCommInitRankConfig(&impl_->comm, size, unique, rank, &config));
}

NcclGroup::~NcclGroup() = default;

void NcclGroup::Broadcast(float* values, int64_t count, int root) {
  for (int64_t begin = 0; begin < count; begin += kPieceFloats) {
    const int64_t piece = std::min(kPieceFloats, count - begin);
    impl_->Settle("broadcast", ncclBroadcast(values + begin, values + begin, static_cast<size_t>(piece), ncclFloat,
                                             root, impl_->comm, impl_->stream));
    WaitOrThrow("NCCL broadcast", impl_->rank, impl_->timeout, [&] {
      const cudaError_t status = cudaStreamQuery(impl_->stream);
      if (status != cudaErrorNotReady) CheckCuda(status, "broadcast stream");
      ncclResult_t state = ncclSuccess;
      if (ncclCommGetAsyncError(impl_->comm, &state) != ncclSuccess ||
          (state != ncclSuccess && state != ncclInProgress)) {
        impl_->Fail("broadcast", state);
      }
      return status == cudaSuccess;
    });
  }
}

}  // namespace hullft::worker
