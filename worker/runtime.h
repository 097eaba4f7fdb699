// What a process that runs Torch on the CPU should set once, and how a thread bounds its own parallelism.
#pragma once

#include <functional>

namespace hullft::worker {

// Call once, before the first model is loaded; later calls change the thread count only.
// - Memory: glibc gives every large block back to the kernel and faults it in again, zeroed, at the next allocation: a
// third
//   of a training step. Keep blocks instead (mallopt; nothing is done under another allocator).
// - Threads: at most `threads` cores for one Torch operation started from this thread (0: UsableCores()), also the
//   default of threads that start later.
// MKL's AVX-512 path on AMD CPUs is a link-time matter: worker/mkl_fast_path.cc. Not thread-safe.
void InitTorchRuntime(int threads);

// Bounds Torch's operations started from the present thread to `threads` cores, and restores what held before. Torch
// keeps this per thread (OpenMP's and MKL's settings), so workers running side by side each need their own.
class IntraOpThreads {
 public:
  explicit IntraOpThreads(int threads);
  ~IntraOpThreads();
  IntraOpThreads(const IntraOpThreads&) = delete;
  IntraOpThreads& operator=(const IntraOpThreads&) = delete;

 private:
  const int before_;
};

// Runs body and translates what Torch throws: out of memory to kMemory, anything else to kInternal with Torch's text.
// A hullft::Error passes unchanged.
void CallTorch(const std::function<void()>& body);

}  // namespace hullft::worker
