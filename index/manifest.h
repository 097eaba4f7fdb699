// Manifests: what a finished partition (part-NNNNN/manifest.json) and a finished corpus (corpus.json) hold, with the
// size and hash of every file. A manifest is canonical JSON with a hash over itself, so that any changed byte is
// noticed. A folder without its manifest is not finished. Thread safety: free functions.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "index/corpus.h"

namespace hullft::index {

// Written; older ones are read too (docs/formats/corpus.md says what they differ in).
inline constexpr int kFormatVersion = 2, kOldestFormat = 1;

struct FileEntry {
  std::string path;  // relative to the manifest's folder, '/' between parts
  int64_t bytes = 0;
  std::string hash;  // HashHex of the content
};

struct PartitionManifest {
  int format = kFormatVersion;  // as it was read
  PartitionInfo info;
  int partitions = 0, dim = 0;  // partitions of its generation
  int first_partition = 0;      // of its generation
  int64_t duplicates = 0;       // equal texts left out
  std::string encoder_digest, tokenizer_digest;
  EmbeddingType embedding_type = EmbeddingType::kF32;
  std::string index = "Flat";
  std::vector<FileEntry> files;
};

struct CorpusManifest {
  CorpusInfo info;
  int64_t records = 0, duplicates = 0, rejects = 0;
  nlohmann::json settings;       // of the build: how, not what; not part of the digest
  std::vector<FileEntry> files;  // the partitions' manifests
};

std::filesystem::path PartitionFolder(const std::filesystem::path& corpus, int number);

void WriteManifest(const std::filesystem::path& folder, const PartitionManifest& manifest);
void WriteManifest(const std::filesystem::path& folder, const CorpusManifest& manifest);
// Throw kData, naming the file, for a missing, damaged or newer manifest.
PartitionManifest ReadPartitionManifest(const std::filesystem::path& folder);
CorpusManifest ReadCorpusManifest(const std::filesystem::path& folder);

// A partition must be the one that the corpus was built with; a copy on a node's own disk has no corpus manifest.
// Throws kData otherwise.
void CheckBelongs(const std::filesystem::path& corpus, int number);

// The first file of a partition that is missing or of another size than the manifest says; "" when there is none.
std::string FileFault(const std::filesystem::path& folder, const PartitionManifest& manifest);

// What a manifest says of a file; kData when it does not list it.
const FileEntry& EntryOf(const PartitionManifest& manifest, const std::string& path);
// Throws kData unless HashHex of what was read from `file` is the manifest's.
void CheckHash(const std::filesystem::path& file, const FileEntry& entry, const std::string& hash);

// All regular files under folder with sizes and hashes, sorted by path. Each is fsynced when sync is set.
std::vector<FileEntry> HashFolder(const std::filesystem::path& folder, bool sync, int threads = 1);

}  // namespace hullft::index
