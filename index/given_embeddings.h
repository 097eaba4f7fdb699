// The embeddings given to a build (--embeddings): a .npy of float32 [records][width], mapped. Thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "common/npy.h"

namespace hullft::index {

class GivenEmbeddings {
 public:
  // dim_wanted: 0 for any. Throws kData, naming the file, for another shape or width.
  GivenEmbeddings(const std::string& path, int dim_wanted);
  int64_t rows() const { return file_.shape()[0]; }
  int dim() const { return static_cast<int>(file_.shape()[1]); }
  std::span<const float> Row(int64_t r) const;
  // What was read so far need not stay in memory.
  void Release() const { file_.Release(); }
  // Reads all of it. Throws kData, naming the first row with NaN, infinity or nothing but zeros; warns of lengths that
  // are not 1.
  void Check(int threads) const;

 private:
  const std::string path_;
  NpyFile file_;
};

}  // namespace hullft::index
