#include "index/read_ahead.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>

namespace hullft::index {
namespace {

constexpr size_t kPiece = 512 << 10;  // of one request Linux reads little more than this
constexpr size_t kAsked = 16;            // parts of many that are looked at, 0.5 us each

size_t PageBytes() {
  static const auto bytes = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  return bytes;
}

// Where the page of an address begins; the system's calls take it without const.
std::byte* Page(const std::byte& at) {
  return const_cast<std::byte*>(&at) - reinterpret_cast<uintptr_t>(&at) % PageBytes();
}

bool InMemory(const std::byte& at) {
  unsigned char resident = 0;
  return ::mincore(Page(at), PageBytes(), &resident) != 0 || (resident & 1) != 0;
}

}  // namespace

void ReadAhead(std::span<const std::byte> mapped) {
  if (mapped.empty()) return;
  if (InMemory(mapped.front()) && InMemory(mapped.back())) return;  // and most likely all between
  std::byte* const begin = Page(mapped.front());
  const auto bytes = static_cast<size_t>(&mapped.back() + 1 - begin);
  for (size_t at = 0; at < bytes; at += kPiece)
    ::madvise(begin + at, std::min(kPiece, bytes - at), MADV_WILLNEED);  // ignored: a hint
}

void ReadAheadAll(std::span<const std::span<const std::byte>> parts) {
  const size_t step = std::max<size_t>(1, parts.size() / kAsked);
  bool in_memory = true;
  for (size_t i = 0; i < parts.size() && in_memory; i += step)
    in_memory = parts[i].empty() || InMemory(parts[i].front());
  if (in_memory) return;
  for (const auto& part : parts) ReadAhead(part);
}

}  // namespace hullft::index
