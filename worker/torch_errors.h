// The one place where LibTorch's exceptions become hullft::Error. Thread safety: free functions.
#pragma once

#include <exception>
#include <string_view>
#include <utility>

namespace hullft::worker {

// Rethrows the exception in flight: c10's and the allocators' as kMemory (out of memory, host or device) or kInternal
// (any other c10::Error), with `doing` in front of Torch's text; every other exception as it is. Call in a catch block.
[[noreturn]] void RethrowTorchError(std::string_view doing);

// body(), with RethrowTorchError around it.
template <class Body>
auto TranslatingTorchErrors(std::string_view doing, Body&& body) {
  try {
    return std::forward<Body>(body)();
  } catch (const std::exception&) {
    RethrowTorchError(doing);
  }
}

}  // namespace hullft::worker
