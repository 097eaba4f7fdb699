#include "common/map_faults.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "common/error.h"

namespace hullft {
namespace {

constexpr size_t kMaps = 1024, kNameBytes = 256;

// Free while begin is 0. A slot is claimed by its end, so that the handler sees no begin without its name.
struct Map {
  std::atomic<uintptr_t> begin{0}, end{0};
  std::array<char, kNameBytes> name{};
};
static_assert(std::atomic<uintptr_t>::is_always_lock_free, "a signal's handler reads these");

std::array<Map, kMaps> g_maps;                     // read by the handler
std::array<char, kNameBytes> g_speaker{"hullft"};  // likewise

// The end of text where it is too long: of a path it says more than the beginning.
void Keep(std::string_view text, std::array<char, kNameBytes>* to) {
  if (text.size() >= to->size()) text.remove_prefix(text.size() - to->size() + 1);
  std::ranges::copy(text, to->begin());
  (*to)[text.size()] = '\0';
}

// From here to OnBusError: async-signal-safe calls alone.
void Say(const char* text) {
  const ssize_t n = ::write(STDERR_FILENO, text, std::strlen(text));
  if (n < 0) return;  // there is nowhere left to say so
}

const char* NameAt(uintptr_t address) {
  for (const Map& map : g_maps) {
    const uintptr_t begin = map.begin.load(std::memory_order_acquire);
    if (begin != 0 && address >= begin && address < map.end.load(std::memory_order_relaxed)) return map.name.data();
  }
  return nullptr;
}

void OnBusError(int, siginfo_t* info, void*) {
  const char* name = NameAt(reinterpret_cast<uintptr_t>(info->si_addr));
  Say(g_speaker.data());
  if (name == nullptr) {
    Say(": bus error: a file was cut while a library had it mapped, or memory or a disk failed\n");
    struct sigaction action {};
    action.sa_handler = SIG_DFL;
    ::sigaction(SIGBUS, &action, nullptr);  // ignored: fails for wrong numbers
    return;                                 // the same access again, which now ends the process
  }
  Say(": ");
  Say(name);
  Say(" cannot be read any more: it was cut while it was in use, or its disk failed\n"
      "  hint: put the file back, then the same command goes on from the journal\n");
  ::_exit(ExitStatus(Code::kIo));
}

}  // namespace

void InstallMapFaultHandler(const std::string& speaker) {
  Keep(speaker, &g_speaker);
  struct sigaction action {};
  action.sa_sigaction = OnBusError;
  action.sa_flags = SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  if (::sigaction(SIGBUS, &action, nullptr) != 0) throw IoError("handle", "SIGBUS");
}

void NameMap(const void* begin, size_t bytes, const std::string& path) {
  const auto at = reinterpret_cast<uintptr_t>(begin);
  for (Map& map : g_maps) {
    uintptr_t free = 0;
    if (!map.end.compare_exchange_strong(free, at + bytes)) continue;
    Keep(path, &map.name);
    map.begin.store(at, std::memory_order_release);
    return;
  }
}

void ForgetMap(const void* begin) {
  const auto at = reinterpret_cast<uintptr_t>(begin);
  for (Map& map : g_maps) {
    if (map.begin.load(std::memory_order_relaxed) != at) continue;
    map.begin.store(0, std::memory_order_relaxed);
    map.end.store(0, std::memory_order_release);
    return;
  }
}

}  // namespace hullft
