#include "index/partition_files.h"

#include <algorithm>

#include "common/hash.h"

namespace hullft::index {

std::string VectorsFile(EmbeddingType type) {
  return "vectors." + std::string(EmbeddingTypeName(type));
}

std::unique_ptr<SequenceSumsFile> OpenSequenceSums(const std::filesystem::path& folder,
                                                   const PartitionManifest& manifest) {
  const auto entry = std::ranges::find(manifest.files, kSequenceSumsFile, &FileEntry::path);
  if (entry == manifest.files.end()) return nullptr;
  const std::filesystem::path path = folder / kSequenceSumsFile;
  CheckHash(path, *entry, HashFileHex(path));
  return std::make_unique<SequenceSumsFile>(path, manifest.info.sequences);
}

std::unique_ptr<FlatIndex> OpenFlatIndex(const std::filesystem::path& folder, const PartitionManifest& manifest) {
  const auto check = [&](const char* name) {
    CheckHash(folder / name, EntryOf(manifest, name), HashFileHex(folder / name));
    return folder / name;
  };
  if (manifest.format == 1) return FlatIndex::ReadFaiss(check(kFaissFlatFile));
  return FlatIndex::Open(folder / VectorsFile(manifest.embedding_type), check(kSumsFile), manifest.embedding_type,
                         manifest.dim);
}

}  // namespace hullft::index
