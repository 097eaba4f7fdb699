#include "index/read_ahead.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>

namespace hullft::index {
namespace {

constexpr uintptr_t kPiece = 512 << 10;  // of one request Linux reads little more than this
constexpr size_t kAsked = 16;            // parts of many that are looked at, 0.5 us each

uintptr_t PageBytes() {
  static const auto bytes = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  return bytes;
}

bool InMemory(uintptr_t address) {
  unsigned char resident = 0;
  const uintptr_t page = address / PageBytes() * PageBytes();
  return ::mincore(reinterpret_cast<void*>(page), PageBytes(), &resident) != 0 || (resident & 1) != 0;
}

uintptr_t Address(std::span<const std::byte> mapped) {
  return reinterpret_cast<uintptr_t>(mapped.data());
}

}  // namespace

void ReadAhead(std::span<const std::byte> mapped) {
  if (mapped.empty()) return;
  const uintptr_t begin = Address(mapped) / PageBytes() * PageBytes(), end = Address(mapped) + mapped.size();
  if (InMemory(begin) && InMemory(end - 1)) return;  // and most likely all between
  for (uintptr_t at = begin; at < end; at += kPiece)
    ::madvise(reinterpret_cast<void*>(at), std::min(kPiece, end - at), MADV_WILLNEED);  // ignored: a hint
}

void ReadAheadAll(std::span<const std::span<const std::byte>> parts) {
  const size_t step = std::max<size_t>(1, parts.size() / kAsked);
  bool in_memory = true;
  for (size_t i = 0; i < parts.size() && in_memory; i += step)
    in_memory = parts[i].empty() || InMemory(Address(parts[i]));
  if (in_memory) return;
  for (const auto& part : parts) ReadAhead(part);
}

}  // namespace hullft::index
