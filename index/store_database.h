// What the reader and the writer of a sequence store (sequence_store.h) share: its column families, their options, the
// form of a key, RocksDB's errors. Included by the store's sources only. Thread safety: values and free functions.
#pragma once

#include <rocksdb/db.h>

#include <array>
#include <filesystem>
#include <memory>
#include <vector>

#include "index/corpus.h"

namespace hullft::index {

enum Family { kText, kTokens, kEmbeddings, kMetadata, kFamilies };
inline constexpr std::array<const char*, kFamilies> kFamilyNames = {"text", "tokens", "embeddings", "metadata"};

// Throws what a status that is not ok says. action: "read", "write", ...
void CheckStore(const rocksdb::Status& status, const char* action, const std::filesystem::path& folder);

// The id's 8 bytes, big endian.
std::array<char, 8> StoreKey(SequenceId id);
SequenceId IdOfStoreKey(const rocksdb::Slice& key);

rocksdb::Options StoreOptions();
// cache: of decompressed blocks; none for writing.
rocksdb::ColumnFamilyOptions FamilyOptions(int family, const std::shared_ptr<rocksdb::Cache>& cache);
std::vector<rocksdb::ColumnFamilyDescriptor> StoreFamilies(const std::shared_ptr<rocksdb::Cache>& cache);

// An open database and its column families, closed in the right order.
struct StoreDatabase {
  std::unique_ptr<rocksdb::DB> db;
  std::vector<rocksdb::ColumnFamilyHandle*> handles;  // the default family first
  ~StoreDatabase() {
    for (auto* handle : handles) db->DestroyColumnFamilyHandle(handle);
  }
  rocksdb::ColumnFamilyHandle* family(int f) const { return handles[static_cast<size_t>(f) + 1]; }
};

}  // namespace hullft::index
