// NumPy .npy files (format 1.0 and 2.0, C order, little endian), float32 only: the exchange format for embeddings.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "common/files.h"

namespace hullft {

// A read-only float32 array of any rank, memory-mapped. Thread-safe for reading.
class NpyFile {
 public:
  // Throws kData, naming the path and the field, when the header, dtype (must be '<f4'), order or length is wrong.
  explicit NpyFile(const std::filesystem::path& path);
  const std::vector<int64_t>& shape() const { return shape_; }
  // Row-major values, product(shape()) of them; valid while this object lives.
  std::span<const float> values() const { return values_; }
  // What was read so far need not stay in memory.
  void Release() const { file_.Release(0, file_.bytes().size()); }

 private:
  MappedFile file_;
  std::vector<int64_t> shape_;
  std::span<const float> values_;
};

// What a .npy of float32 with this shape begins with; product(shape) values follow.
std::string NpyHeader(std::span<const int64_t> shape);

// Writes values (product(shape) of them) atomically.
void WriteNpy(const std::filesystem::path& path, std::span<const int64_t> shape, std::span<const float> values);

}  // namespace hullft
