// Last stage of a partition's build: staged texts with their tokens and embeddings become the store, the vector index,
// the ids and the manifest.
#pragma once

#include <filesystem>

#include "index/embedding_log.h"
#include "index/given_embeddings.h"
#include "index/manifest.h"
#include "index/staging.h"

namespace hullft::index {

struct PartitionSource {
  const StagedPartition& staged;
  const EmbeddingLog& log;                 // a row for each of staged
  const GivenEmbeddings* given = nullptr;  // instead of the log's embeddings
};

struct WriteOptions {
  int threads = 1;
  int64_t memory_budget = 0;  // bytes that making the index may take; 0: no limit
};

// Writes the partition's folder (replacing an unfinished one), every file durable, the manifest last. `manifest` comes
// with number, partitions, dim, embedding type, index and digests filled; the finished one is returned. Holds a few
// thousand sequences in memory.
PartitionManifest WritePartition(const std::filesystem::path& folder, const PartitionSource& source,
                                 PartitionManifest manifest, const WriteOptions& options);

// Makes index.faiss of a partition whose vectors stand; nothing for Flat.
void WriteIndex(const std::filesystem::path& folder, const PartitionManifest& manifest, const WriteOptions& options);

}  // namespace hullft::index
