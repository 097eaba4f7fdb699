// How benchmarks measure on a machine that others use too: CPU time of the thread that matters, and the shortest of
// several repetitions, interleaved where two things are compared.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace hullft::coordinator {

// Wall seconds of one call.
double Seconds(const std::function<void()>& body);

// Runs all bodies in turn, `repetitions` times over; the shortest wall seconds of each.
std::vector<double> ShortestSeconds(const std::vector<std::function<void()>>& bodies, int repetitions);

// A new folder under `parent`, gone with this object.
class ScratchFolder {
 public:
  explicit ScratchFolder(const std::filesystem::path& parent);
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace hullft::coordinator
