// The sequences of one partition in a RocksDB folder: column families text, tokens, embeddings, metadata; key = the
// id's 8 bytes, big endian, so that iteration goes by id. The one wrapper of RocksDB: its errors become hullft::Error.
// Written once, in order of id, as sorted table files that are then moved in; opened read-only, leaving no file behind.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "index/content_digest.h"
#include "index/corpus.h"

namespace hullft::index {

// Not thread-safe. Unfinished, it leaves a folder to be deleted.
class StoreWriter {
 public:
  // folder must not exist.
  explicit StoreWriter(const std::filesystem::path& folder);
  ~StoreWriter();
  // Ids must rise from call to call.
  void Add(const SequenceView& sequence);
  // Makes the store whole. Nothing may be added after it.
  void Finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Thread-safe for reading.
class StoreReader {
 public:
  explicit StoreReader(const std::filesystem::path& folder);
  ~StoreReader();
  // Each throws kData when the id is not stored.
  std::string Text(SequenceId id) const;
  std::string Metadata(SequenceId id) const;
  std::vector<int32_t> Tokens(SequenceId id) const;
  // All sequences by id, with RocksDB's own checksums verified; throws kData where the column families disagree.
  void ForEach(const std::function<void(const SequenceView&)>& visit) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hullft::index
