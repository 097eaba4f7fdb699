// Paths that a file names: they may come from anywhere, so they must not lead out of that file's folder.
#pragma once

#include <algorithm>
#include <filesystem>

namespace hullft {

// Whether folder / path lies in folder: path is relative and has no "..". Links are not looked at: a model's folder may
// consist of them (the cache of huggingface_hub does).
inline bool StaysInside(const std::filesystem::path& path) {
  return path.is_relative() && std::ranges::count(path, "..") == 0;
}

}  // namespace hullft
