// NCCL broadcast of flat buffers between GPU workers, with a watchdog: nothing here waits without a deadline.
//
// NCCL's id is made on one rank (NcclGroup::NewId) and travels to the others over the run's communicator. All calls are
// non-blocking underneath and polled, so that a peer that died or hangs becomes an Error(kPeer) naming this rank and
// host instead of a process that never returns; the group is then aborted. Thread safety: one thread per group.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

namespace hullft::worker {

class NcclGroup {
 public:
  // An id for a new group: opaque bytes, the same on all its ranks.
  static std::string NewId();

  // Collective over the group's ranks: joins with GPU `device`. Throws kPeer when the others do not come in time.
  NcclGroup(const std::string& id, int rank, int size, int device, std::chrono::milliseconds timeout);
  ~NcclGroup();
  NcclGroup(const NcclGroup&) = delete;
  NcclGroup& operator=(const NcclGroup&) = delete;

  // Collective over the group: copies root's `count` floats at `values` (device memory, count equal everywhere) to
  // every rank's `values`. One ring pass: each GPU receives 4 * count bytes once.
  void Broadcast(float* values, int64_t count, int root);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hullft::worker
