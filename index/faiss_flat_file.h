// A flat index file of FAISS (IndexFlatIP, IndexFlatL2, alone or inside an IndexIDMap or IndexIDMap2), mapped: its
// vectors, and the ids of an IDMap. Reads the file itself: FAISS would read all of it into memory. The layout is that
// of faiss/impl/index_write.cpp, little endian; kept since FAISS 1.5. Thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "common/files.h"

namespace hullft::index {

class FaissFlatFile {
 public:
  // True for a file that begins as an index file of FAISS does, of whatever kind.
  static bool Is(const std::string& path);
  // Throws kData, naming the file, for another kind of index, and one that is cut off.
  explicit FaissFlatFile(const std::string& path);
  int64_t rows() const { return rows_; }
  int dim() const { return dim_; }
  std::span<const int64_t> ids() const { return ids_; }  // of the rows; empty without an IDMap
  void Read(int64_t row, std::span<float> out) const;    // dim() values
  void Release() const { file_.Release(0, file_.bytes().size()); }

 private:
  const MappedFile file_;
  int64_t rows_ = 0;
  int dim_ = 0;
  size_t vectors_ = 0;  // offset of them, at any alignment
  std::vector<int64_t> ids_;
};

}  // namespace hullft::index
