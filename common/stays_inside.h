// Paths that a file names: they may come from anywhere, so they must not lead out of that file's folder.
#pragma once

#include <algorithm>
#include <filesystem>
#include <system_error>

namespace hullft {

// Whether folder / path lies in folder by its name: path is relative and has no "..". Links are not looked at.
inline bool StaysInside(const std::filesystem::path& path) {
  return path.is_relative() && std::ranges::count(path, "..") == 0;
}

// The same for a model's folder, links followed: what path stands for in the end is in the folder too, or among the
// blobs of the model hub's cache that the folder is a snapshot of (MODEL/snapshots/REVISION, whose files are links to
// MODEL/blobs). What cannot be followed cannot be read either, and counts as inside.
inline bool StaysInsideModel(const std::filesystem::path& folder, const std::filesystem::path& path) {
  namespace fs = std::filesystem;
  if (!StaysInside(path)) return false;
  std::error_code error;
  const fs::path root = fs::canonical(folder, error);
  if (error) return true;
  const fs::path real = fs::canonical(folder / path, error);
  if (error) return true;
  const auto is_in = [&](const fs::path& where) { return StaysInside(real.lexically_relative(where)); };
  const fs::path snapshots = root.parent_path();
  return is_in(root) || (snapshots.filename() == "snapshots" && is_in(snapshots.parent_path() / "blobs"));
}

}  // namespace hullft
