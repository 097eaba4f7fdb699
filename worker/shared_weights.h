// One copy of a model's base weights for all worker processes of a node.
//
// The first worker makes an anonymous memory file (memfd), fills it and tells the others where it is; they map it
// read-only. It has no name in any file system: nothing is left behind however the processes end, and the size of
// /dev/shm does not limit it. The kernel frees it with the last mapping. Linux only. No Torch here.
// Thread safety: different objects may be used from different threads.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace hullft::worker {

class SharedWeights {
 public:
  // New memory for so many float32, zero, writable until Seal. Throws kMemory when the system cannot give it all.
  static std::shared_ptr<SharedWeights> Create(int64_t elements);
  // Maps what `handle` of another process names, read-only. Throws kIo when that process is gone, belongs to another
  // user or lives in another container, kData when the size is not `elements` or it is not sealed yet.
  static std::shared_ptr<SharedWeights> Open(const std::string& handle, int64_t elements);
  ~SharedWeights();
  SharedWeights(const SharedWeights&) = delete;
  SharedWeights& operator=(const SharedWeights&) = delete;

  // From here on nobody can write to it, in any process: a stray write is a fault, not a wrong result elsewhere.
  void Seal();
  // For Open in other processes of this machine; good while this object lives, and only after Seal.
  const std::string& handle() const { return handle_; }
  float* data() const { return static_cast<float*>(memory_); }
  int64_t elements() const { return elements_; }

 private:
  SharedWeights(int fd, int64_t elements, bool writable);

  int fd_ = -1;
  void* memory_ = nullptr;
  int64_t elements_ = 0;
  std::string handle_;
};

}  // namespace hullft::worker
