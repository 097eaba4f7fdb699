// Embeddings that a build is given instead of making them, mapped: a .npy, a flat index file of FAISS, or those of
// finished corpora. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "index/corpus.h"

namespace hullft::index {

class GivenEmbeddings {
 public:
  virtual ~GivenEmbeddings() = default;
  int64_t rows() const { return rows_; }
  int dim() const { return dim_; }
  // Row r as float32; scratch holds it where the file does not.
  virtual std::span<const float> Row(int64_t r, std::vector<float>* scratch) const = 0;
  // What was read so far need not stay in memory.
  virtual void Release() const = 0;
  // Reads all of it. Throws kData, naming the first row with NaN, infinity or nothing but zeros; warns of lengths that
  // are not 1.
  void Check(const std::string& path, int threads) const;

 protected:
  int64_t rows_ = 0;
  int dim_ = 0;
};

// A .npy of float32 [records][width], or a flat index file of FAISS (faiss_flat_file.h), told apart by their first
// bytes. row_order: a text file with a line for each row, the number of the record that the row belongs to; "": row i
// belongs to record i, or to the record that FAISS's IndexIDMap says. dim_wanted: 0 for any. Throws kData, naming the
// file, for another type, shape or width, and an order that is not one.
std::unique_ptr<GivenEmbeddings> OpenEmbeddings(const std::string& path, const std::string& row_order, int dim_wanted);

// Those of all partitions of the first corpus in order, then those of the second, and so on.
std::unique_ptr<GivenEmbeddings> EmbeddingsOf(std::span<const CorpusInfo> corpora);

}  // namespace hullft::index
