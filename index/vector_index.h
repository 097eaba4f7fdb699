// The index over the embeddings of one partition; row i is the i-th id in order. Two kinds: flat (the embeddings
// themselves, memory-mapped, searched whole) and FAISS's (index/faiss_index.h: a part is searched; scores are made
// again from the stored embeddings). Letters: n rows, d width, k results. Thread-safe for reading.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/files.h"
#include "index/best_rows.h"
#include "index/block_scan.h"
#include "index/embedding_type.h"

namespace hullft::index {

struct SearchOptions {
  int effort = 0;   // lists to visit (nprobe) or HNSW's efSearch; 0: what the corpus was built with; flat: no meaning
  int threads = 0;  // 0: all cores this process may use
};

class VectorIndex {
 public:
  virtual ~VectorIndex() = default;
  virtual int dim() const = 0;
  virtual int64_t size() const = 0;
  // At most min(k, n) rows of each query ([nq][d]) by falling score. Rounding depends on nq and the BLAS.
  virtual std::vector<std::vector<RowHit>> Search(std::span<const float> queries, int nq, int k,
                                                  const SearchOptions& options) const = 0;
};

// All rows, mapped: a partition larger than memory still serves.
class FlatIndex final : public VectorIndex {
 public:
  // A file of rows alone, and its checksums (block_checks.h): a file of up to 256 MiB is checked at once, a larger one
  // block by block when it is read. Throws kData when its length is no multiple of a row's, or for a wrong checksum.
  static std::unique_ptr<FlatIndex> Open(const std::filesystem::path& path, const std::filesystem::path& sums,
                                         EmbeddingType type, int dim);
  // FAISS's IndexFlatIP, as corpora of format 1 have it: read into memory. Throws kData for anything else.
  static std::unique_ptr<FlatIndex> ReadFaiss(const std::filesystem::path& path);
  ~FlatIndex() override;

  int dim() const override;
  int64_t size() const override;
  std::vector<std::vector<RowHit>> Search(std::span<const float> queries, int nq, int k,
                                          const SearchOptions& options) const override;
  // Valid as long as the index.
  EmbeddingRows rows() const;
  void CheckEveryRead();  // see Partition
  // What was read so far need not stay in memory.
  void Release() const;

 private:
  FlatIndex();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The k best rows of each query, by reading all rows.
std::vector<std::vector<RowHit>> SearchRows(const EmbeddingRows& rows, std::span<const float> queries, int nq, int k,
                                            int threads);

}  // namespace hullft::index
