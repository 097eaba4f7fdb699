#include "coordinator/bench/measure.h"

#include <stdlib.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <system_error>

#include "common/error.h"
#include "common/files.h"

namespace hullft::coordinator {
double Seconds(const std::function<void()>& body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::vector<double> ShortestSeconds(const std::vector<std::function<void()>>& bodies, int repetitions) {
  std::vector<double> shortest(bodies.size(), std::numeric_limits<double>::infinity());
  for (int r = 0; r < repetitions; ++r) {
    for (size_t b = 0; b < bodies.size(); ++b) shortest[b] = std::min(shortest[b], Seconds(bodies[b]));
  }
  return shortest;
}

ScratchFolder::ScratchFolder(const std::filesystem::path& parent) {
  MakeFolders(parent);
  std::string name = (parent / "hullft_scratch_XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw IoError("make a folder in", parent.string());
  path_ = name;
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;  // ignored: what cannot be removed is left in the scratch folder
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace hullft::coordinator
