// The vectors of one partition: a flat inner-product FAISS index, row i = the i-th id in order. The one wrapper of
// FAISS: its errors become hullft::Error. Letters: n rows, d width, k results. Thread-safe for reading.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace hullft::index {

struct RowHit {
  int64_t row = 0;
  float score = 0;
};

class VectorIndex {
 public:
  explicit VectorIndex(int dim);
  // Throws kData for a file that is not a flat inner-product index. hash: where HashHex of what was read is put.
  static VectorIndex Read(const std::filesystem::path& path, std::string* hash = nullptr);
  VectorIndex(VectorIndex&&) noexcept;
  ~VectorIndex();

  // vectors: row-major [rows][d].
  void Add(std::span<const float> vectors);
  // Not atomic: the partition's manifest makes it true.
  void Write(const std::filesystem::path& path) const;

  int dim() const;
  int64_t size() const;
  // All rows, row-major [n][d], in memory; valid until Add.
  std::span<const float> vectors() const;
  // min(k, n) best rows of each query ([nq][d]) by falling score as FAISS computes it: rounding depends on nq and
  // threads.
  std::vector<std::vector<RowHit>> Search(std::span<const float> queries, int nq, int k) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hullft::index
