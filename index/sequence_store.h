// The sequences of one partition in a RocksDB folder: column families text, tokens, embeddings, metadata; key = the
// id's 8 bytes, big endian, so that iteration goes by id. The one wrapper of RocksDB: its errors become hullft::Error.
// Written once, in order of id, as sorted table files that are then moved in; opened read-only, leaving no file behind.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "index/content_digest.h"
#include "index/corpus.h"
#include "index/embedding_type.h"

namespace rocksdb {
class Cache;
}

namespace hullft::index {

// Decompressed blocks, and the tables' own indexes, of any number of stores under one budget. Thread-safe.
class BlockCache {
 public:
  explicit BlockCache(int64_t bytes);
  int64_t used_bytes() const;

 private:
  friend class StoreReader;
  const std::shared_ptr<rocksdb::Cache> cache_;
};

// Not thread-safe. Unfinished, it leaves a folder to be deleted.
class StoreWriter {
 public:
  // folder must not exist. Embeddings are stored as `type`, which must hold them exactly; without one they are left
  // out.
  StoreWriter(const std::filesystem::path& folder, std::optional<EmbeddingType> type);
  ~StoreWriter();
  // Ids must rise, from call to call too. The column families are written by up to `threads` threads.
  void Add(std::span<const SequenceView> sequences, int threads);
  // Makes the store whole. Nothing may be added after it.
  void Finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Thread-safe for reading.
class StoreReader {
 public:
  // Reads the tables' footers alone. cache: shared with other stores; none: a small one of its own.
  StoreReader(const std::filesystem::path& folder, EmbeddingType type, std::shared_ptr<BlockCache> cache = nullptr);
  ~StoreReader();
  // Each throws kData when an id is not stored. Those of several ids take one multi-get and keep the ids' order.
  std::string Metadata(SequenceId id) const;
  std::vector<std::string> Texts(std::span<const SequenceId> ids) const;
  std::vector<std::vector<int32_t>> Tokens(std::span<const SequenceId> ids) const;
  // out: row-major [ids][d]. Only where they were stored.
  void Embeddings(std::span<const SequenceId> ids, std::span<float> out) const;
  // On disk.
  struct Bytes {
    int64_t text = 0, tokens = 0, embeddings = 0, metadata = 0;
  };
  Bytes bytes() const;
  // All sequences by id, with RocksDB's own checksums verified; throws kData where the column families disagree.
  // Without stored embeddings, or where they are not wanted, theirs are empty.
  void ForEach(const std::function<void(const SequenceView&)>& visit, bool want_embeddings = true) const;
  // The texts alone, by id, verified likewise.
  void ForEachText(const std::function<void(SequenceId id, std::string_view text)>& visit) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hullft::index
