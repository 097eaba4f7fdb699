// Turns a hang into an error: polls something that should finish and gives up at a deadline. No CUDA in it: tested
// anywhere.
#pragma once

#include <unistd.h>

#include <chrono>
#include <functional>
#include <string>
#include <thread>

#include "common/error.h"

namespace hullft::worker {

// The host's name, for messages.
inline std::string HostName() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "unknown host";
}

// Calls done() until it returns true. Past `timeout` throws kPeer naming what, rank and host. done() may throw.
inline void WaitOrThrow(const std::string& what, int rank, std::chrono::milliseconds timeout,
                        const std::function<bool()>& done) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  auto pause = std::chrono::microseconds(20);
  while (!done()) {
    if (std::chrono::steady_clock::now() >= deadline) {
      throw Error(
          Code::kPeer,
          fmt::format("{} did not finish within {} ms (rank {}, host {})", what, timeout.count(), rank, HostName()),
          "another GPU worker died or hangs, or the GPUs cannot reach each other: NCCL_DEBUG=INFO shows which");
    }
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::microseconds(2000));
  }
}

}  // namespace hullft::worker
