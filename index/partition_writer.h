// Last stage of a partition's build: staged texts with their tokens and embeddings become the store, the vector index,
// the ids and the manifest.
#pragma once

#include <filesystem>

#include "index/embedding_log.h"
#include "index/manifest.h"
#include "index/staging.h"

namespace hullft::index {

// Writes the partition's folder (replacing an unfinished one), every file durable, the manifest last. `manifest` comes
// with number, partitions, dim and digests filled; the finished one is returned. log must hold every row of staged.
PartitionManifest WritePartition(const std::filesystem::path& folder, const StagedPartition& staged,
                                 const EmbeddingLog& log, PartitionManifest manifest);

}  // namespace hullft::index
