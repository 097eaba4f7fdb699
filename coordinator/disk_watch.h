// Watches the room on the run folder's disk, so that a run waits before it is full instead of ending when it is.
// Not thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>

namespace hullft::coordinator {

class DiskWatch {
 public:
  // reserve: bytes; 0: never waits.
  DiskWatch(std::filesystem::path folder, int64_t reserve) : folder_(std::move(folder)), reserve_(reserve) {}
  // Whether the run has to wait at `now` (seconds): from when less than the reserve is free until a quarter more is.
  // Looks once a second, and says in the log when it begins and when it ends.
  bool Full(double now);

  static constexpr double kInterval = 1;  // s

 private:
  const std::filesystem::path folder_;
  const int64_t reserve_;
  double next_ = 0;
  bool full_ = false;
};

}  // namespace hullft::coordinator
