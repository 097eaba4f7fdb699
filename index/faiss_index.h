// A FAISS index over the rows of a partition, beside the rows themselves: finds candidates in a part of the rows; their
// scores are made from the stored embeddings (of an IVFn,Flat from its own copies of them, whose lists are multiplied
// whole), so that only which rows are found depends on the index. The one wrapper of FAISS's IVF and HNSW: its errors
// become hullft::Error. Thread-safe for reading.
#pragma once

#include <filesystem>
#include <memory>

#include "index/index_type.h"
#include "index/vector_index.h"

namespace hullft::index {

class FaissIndex final : public VectorIndex {
 public:
  struct BuildOptions {
    IndexType type;
    uint64_t seed = 1;          // of the training sample
    int threads = 1;            // the index does not depend on it
    int64_t memory_budget = 0;  // bytes that sample and codes may take; 0: no limit
  };
  // Trains on a sample of the rows, adds all of them and writes the file, which is durable then. The same rows and
  // options give the same index on the same processor and libraries. With fewer rows than 39 a list (FAISS's advice) it
  // has fewer lists. Throws kUsage when the budget does not suffice, kData when there are too few rows for PQ.
  static void Build(const EmbeddingRows& rows, const BuildOptions& options, const std::filesystem::path& path);

  // IVF: codes are mapped, not read. HNSW: read into memory. rows must outlive the index. effort: of searches that name
  // none. Throws kData for a file that is not such an index over so many rows; that it has its whole length is for the
  // caller to know.
  static std::unique_ptr<FaissIndex> Open(const std::filesystem::path& path, const IndexType& type,
                                          const EmbeddingRows& rows, int effort);
  ~FaissIndex() override;

  int dim() const override;
  int64_t size() const override;
  // Mean share of the rows that these queries look at; 1 where the index is no IVF.
  double ProbedShare(std::span<const float> queries, int nq, int effort) const;
  // Each query is searched alone: what is found does not depend on the batch or the threads. Throws kData where the
  // file names rows that there are none of.
  std::vector<std::vector<RowHit>> Search(std::span<const float> queries, int nq, int k,
                                          const SearchOptions& options) const override;

 private:
  FaissIndex();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hullft::index
