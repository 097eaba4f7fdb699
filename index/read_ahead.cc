#include "index/read_ahead.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>

namespace hullft::index {
namespace {

constexpr uintptr_t kPiece = 512 << 10;  // of one request Linux reads little more than this

bool InMemory(uintptr_t page, uintptr_t page_bytes) {
  unsigned char resident = 0;
  return ::mincore(reinterpret_cast<void*>(page), page_bytes, &resident) != 0 || (resident & 1) != 0;
}

}  // namespace

void ReadAhead(std::span<const std::byte> mapped) {
  if (mapped.empty()) return;
  static const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto first = reinterpret_cast<uintptr_t>(mapped.data());
  const uintptr_t begin = first / page * page, end = first + mapped.size();
  const uintptr_t last = (end - 1) / page * page;
  if (InMemory(begin, page) && InMemory(last, page)) return;  // and most likely all between
  for (uintptr_t at = begin; at < end; at += kPiece)
    ::madvise(reinterpret_cast<void*>(at), std::min(kPiece, end - at), MADV_WILLNEED);  // ignored: a hint
}

}  // namespace hullft::index
