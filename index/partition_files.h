// The files inside a partition's folder (docs/formats/corpus.md).
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "index/manifest.h"
#include "index/sequence_sums.h"
#include "index/vector_index.h"

namespace hullft::index {

inline constexpr const char* kIdsFile = "ids.u64";              // sorted ids, 8 bytes each, little endian: row i's id
inline constexpr const char* kFaissFlatFile = "vectors.faiss";  // format 1: IndexFlatIP
inline constexpr const char* kSumsFile = "vectors.sums";        // checksums of blocks of the vectors (block_checks.h)
inline constexpr const char* kIndexFile = "index.faiss";        // where the index is not Flat
inline constexpr const char* kSequenceSumsFile = "sequences.sums";  // of every sequence (sequence_sums.h)
inline constexpr const char* kStoreFolder = "store";                // RocksDB

// Rows of a flat index, row-major, without a header.
std::string VectorsFile(EmbeddingType type);

// The checksums of the sequences; null in a partition that was built without them.
std::unique_ptr<SequenceSumsFile> OpenSequenceSums(const std::filesystem::path& folder,
                                                   const PartitionManifest& manifest);

// The flat index of a partition of any format.
std::unique_ptr<FlatIndex> OpenFlatIndex(const std::filesystem::path& folder, const PartitionManifest& manifest);

}  // namespace hullft::index
