// Names inside a partition's folder (docs/formats/corpus.md).
#pragma once

namespace hullft::index {

inline constexpr const char* kIdsFile = "ids.u64";            // sorted ids, 8 bytes each, little endian: row i's id
inline constexpr const char* kVectorsFile = "vectors.faiss";  // IndexFlatIP
inline constexpr const char* kStoreFolder = "store";          // RocksDB

}  // namespace hullft::index
