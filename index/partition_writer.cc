#include "index/partition_writer.h"

#include "common/error.h"
#include "common/files.h"
#include "index/content_digest.h"
#include "index/partition_files.h"
#include "index/sequence_store.h"
#include "index/vector_index.h"

namespace hullft::index {
namespace fs = std::filesystem;

PartitionManifest WritePartition(const fs::path& folder, const StagedPartition& staged, const EmbeddingLog& log,
                                 PartitionManifest manifest) {
  HULLFT_CHECK(log.rows() == staged.size());
  fs::remove_all(folder);
  MakeFolders(folder);
  StoreWriter store(folder / kStoreFolder);
  VectorIndex vectors(manifest.dim);
  ContentDigest digest;
  std::string ids;
  PartitionInfo& info = manifest.info;
  log.ForEach([&](int64_t row, std::span<const int32_t> tokens, std::span<const float> embedding) {
    const StagedSequence s = staged[row];
    const SequenceView view{s.id, s.text, s.metadata, tokens, embedding};
    store.Add(view);
    vectors.Add(embedding);
    digest.Add(view);
    ids.append(reinterpret_cast<const char*>(&s.id.value), sizeof s.id.value);
    info.text_bytes += static_cast<int64_t>(s.text.size());
    info.tokens += static_cast<int64_t>(tokens.size());
  });
  store.Finish();
  vectors.Write(folder / kVectorsFile);
  WriteFileAtomic(folder / kIdsFile, ids);
  info.sequences = staged.size();
  info.digest = digest.Hex();
  manifest.duplicates = staged.duplicates();
  manifest.files = HashFolder(folder, true);
  info.disk_bytes = 0;
  for (const FileEntry& file : manifest.files) info.disk_bytes += file.bytes;
  WriteManifest(folder, manifest);
  return manifest;
}

}  // namespace hullft::index
