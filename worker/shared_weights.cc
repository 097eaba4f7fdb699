#include "worker/shared_weights.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "common/error.h"

namespace hullft::worker {
namespace {

size_t Bytes(int64_t elements) {
  return static_cast<size_t>(elements) * sizeof(float);
}

constexpr int kSizeSeals = F_SEAL_SHRINK | F_SEAL_GROW;  // also the mark of weights that are complete

}  // namespace

// Takes the descriptor over.
SharedWeights::SharedWeights(int fd, int64_t elements, bool writable) : fd_(fd), elements_(elements) {
  const int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
  void* const memory = mmap(nullptr, Bytes(elements), protection, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) {
    const Error error = IoError("map", "the node's shared weights");
    close(fd);  // ignored: nothing is lost by it
    throw error;
  }
  memory_ = memory;
  madvise(memory_, Bytes(elements), MADV_HUGEPAGE);  // ignored: a wish, granted where shmem_enabled says advise
}

SharedWeights::~SharedWeights() {
  if (memory_ != nullptr) munmap(memory_, Bytes(elements_));  // ignored: fails for a wrong address only
  close(fd_);                                                 // ignored: nothing is lost by it
}

std::shared_ptr<SharedWeights> SharedWeights::Create(int64_t elements) {
  HULLFT_CHECK(elements > 0);
  const int fd = memfd_create("hullft_weights", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) throw IoError("make", "the node's shared weights (memfd)");
  // All of it now: a page that cannot be had later would be a SIGBUS.
  const int fault = posix_fallocate(fd, 0, static_cast<off_t>(Bytes(elements)));
  if (fault != 0) {
    close(fd);  // ignored: nothing is lost by it
    throw Error(Code::kMemory,
                fmt::format("cannot get {} MB of shared memory for the model's weights: {}", Bytes(elements) >> 20U,
                            std::generic_category().message(fault)),
                "use a smaller model, or raise the job's memory limit");
  }
  std::shared_ptr<SharedWeights> weights(new SharedWeights(fd, elements, true));
  weights->handle_ = fmt::format("/proc/{}/fd/{}", getpid(), fd);
  return weights;
}

void SharedWeights::Seal() {
  if (mprotect(memory_, Bytes(elements_), PROT_READ) != 0) throw IoError("protect", handle_);
  // Linux before 5.1 does not know the seal of writing: there only the readers' read-only descriptors protect it.
  if (fcntl(fd_, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) != 0 && errno != EINVAL) throw IoError("seal", handle_);
  if (fcntl(fd_, F_ADD_SEALS, kSizeSeals) != 0) throw IoError("seal", handle_);
}

std::shared_ptr<SharedWeights> SharedWeights::Open(const std::string& handle, int64_t elements) {
  HULLFT_CHECK(elements > 0);
  const int fd = open(handle.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) throw IoError("open the node's shared weights at", handle);
  struct stat info {};
  const int seals = fcntl(fd, F_GET_SEALS);
  if (fstat(fd, &info) != 0 || static_cast<size_t>(info.st_size) != Bytes(elements) || seals < 0 ||
      (seals & kSizeSeals) != kSizeSeals) {
    close(fd);  // ignored: nothing is lost by it
    throw DataError("{}: not sealed weights of {} bytes", handle, Bytes(elements));
  }
  return std::shared_ptr<SharedWeights>(new SharedWeights(fd, elements, false));
}

}  // namespace hullft::worker
