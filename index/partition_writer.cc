#include "index/partition_writer.h"

#include <algorithm>

#include "common/error.h"
#include "common/files.h"
#include "common/parallel.h"
#include "index/block_checks.h"
#include "index/content_digest.h"
#include "index/faiss_index.h"
#include "index/partition_files.h"
#include "index/sequence_store.h"
#include "index/sequence_sums.h"

namespace hullft::index {
namespace {
namespace fs = std::filesystem;

constexpr size_t kRows = 2048;               // written at a time
constexpr int64_t kReleaseEvery = 16 << 10;  // rows

// A flat index is one copy of the embeddings and the store's another to mend it from; any other index is made from the
// vectors again.
std::optional<EmbeddingType> KeptInStore(const PartitionManifest& manifest) {
  if (manifest.index == "Flat") return manifest.embedding_type;
  return std::nullopt;
}

// The files of a partition, fed with sequences in the order of their ids.
class PartitionFiles {
 public:
  PartitionFiles(const fs::path& folder, const PartitionManifest& manifest, int threads)
      : folder_(folder),
        dim_(static_cast<size_t>(manifest.dim)),
        type_(manifest.embedding_type),
        threads_(threads),
        store_(folder / kStoreFolder, KeptInStore(manifest)),
        vectors_(folder / VectorsFile(type_)) {}

  // text and tokens must stay valid until the next Flush; there is one every kRows sequences.
  void Add(const StagedSequence& s, std::span<const int32_t> tokens, std::span<const float> embedding,
           PartitionInfo* info) {
    Narrow(embedding, type_, &stored_);
    views_.push_back({s.id, s.text, s.metadata, tokens, {}});
    info->text_bytes += static_cast<int64_t>(s.text.size());
    info->tokens += static_cast<int64_t>(tokens.size());
    if (views_.size() == kRows) Flush();
  }

  // To be called before the last texts and tokens go away.
  void Flush() {
    embeddings_.resize(views_.size() * dim_);
    Widen(stored_, type_, embeddings_);
    for (size_t i = 0; i < views_.size(); ++i) views_[i].embedding = std::span(embeddings_).subspan(i * dim_, dim_);
    ParallelFor(2, threads_, [&](int64_t half) {
      if (half == 0) return store_.Add(views_, std::max(1, threads_ - 1));
      vectors_.Append(stored_);
      sums_.Add(stored_);
      for (const SequenceView& view : views_) {
        digest_.Add(view);
        ids_.append(reinterpret_cast<const char*>(&view.id.value), sizeof view.id.value);
        const SequenceSums sums{Hash64(view.text), SumOf(view.tokens), SumOf(view.embedding)};
        sequence_sums_.append(reinterpret_cast<const char*>(&sums), sizeof sums);
      }
    });
    views_.clear();
    stored_.clear();
  }

  // Durable but for the store. Returns the content's digest.
  std::string Finish() {
    HULLFT_CHECK(views_.empty());
    store_.Finish();
    WriteFileAtomic(folder_ / kIdsFile, ids_);
    WriteFileAtomic(folder_ / kSumsFile, sums_.Finish());
    WriteFileAtomic(folder_ / kSequenceSumsFile, sequence_sums_);
    return digest_.Hex();
  }

 private:
  const fs::path folder_;
  const size_t dim_;
  const EmbeddingType type_;
  const int threads_;
  StoreWriter store_;
  AppendFile vectors_;
  BlockSums sums_;
  ContentDigest digest_;
  std::string ids_, sequence_sums_;
  std::vector<SequenceView> views_;
  std::string stored_;             // their embeddings, as stored
  std::vector<float> embeddings_;  // and what these stand for
};

// What was read of mapped files need not stay in memory.
void Release(const PartitionSource& source) {
  source.staged.Release();
  if (source.given != nullptr) source.given->Release();
}

}  // namespace

void WriteIndex(const fs::path& folder, const PartitionManifest& manifest, const WriteOptions& options) {
  if (manifest.index == "Flat") return;
  // Not through OpenFlatIndex: the manifest does not list the files yet.
  const MappedFile vectors(folder / VectorsFile(manifest.embedding_type));
  const EmbeddingRows rows{vectors.bytes(), manifest.embedding_type, static_cast<size_t>(manifest.dim), nullptr};
  FaissIndex::Build(rows,
                    {.type = IndexType::Parse(manifest.index, manifest.dim),
                     .threads = options.threads,
                     .memory_budget = options.memory_budget},
                    folder / kIndexFile);
}

PartitionManifest WritePartition(const fs::path& folder, const PartitionSource& source, PartitionManifest manifest,
                                 const WriteOptions& options) {
  const int threads = options.threads;
  const StagedPartition& staged = source.staged;
  HULLFT_CHECK(source.log.rows() == staged.size());
  fs::remove_all(folder);
  MakeFolders(folder);
  PartitionInfo& info = manifest.info;
  {
    PartitionFiles files(folder, manifest, threads);
    std::vector<float> scratch;
    source.log.ForEach([&](int64_t row, std::span<const int32_t> tokens, std::span<const float> embedding) {
      const StagedSequence s = staged[row];
      files.Add(s, tokens, source.given != nullptr ? source.given->Row(s.row, &scratch) : embedding, &info);
      if (row + 1 == staged.size()) files.Flush();
      if (row % kReleaseEvery == 0) Release(source);
    });
    info.digest = files.Finish();
  }
  info.sequences = staged.size();
  WriteIndex(folder, manifest, options);
  manifest.duplicates = staged.duplicates();
  manifest.files = HashFolder(folder, true, threads);
  info.disk_bytes = 0;
  for (const FileEntry& file : manifest.files) info.disk_bytes += file.bytes;
  WriteManifest(folder, manifest);
  return manifest;
}

}  // namespace hullft::index
