#include "index/corpus.h"

#include <algorithm>
#include <cstring>

#include "common/error.h"
#include "common/files.h"
#include "common/hash.h"
#include "index/manifest.h"
#include "index/partition_files.h"
#include "index/sequence_store.h"
#include "index/vector_index.h"

namespace hullft::index {
namespace fs = std::filesystem;

CorpusInfo ReadCorpusInfo(const fs::path& folder) {
  return ReadCorpusManifest(folder).info;
}

namespace {

// A flipped bit in the vectors or ids would change results without a word; the blocks of the store have RocksDB's own
// checksums.
VectorIndex ReadVectors(const fs::path& folder, const PartitionManifest& manifest) {
  std::string hash;
  VectorIndex vectors = VectorIndex::Read(folder / kVectorsFile, &hash);
  CheckHash(folder / kVectorsFile, EntryOf(manifest, kVectorsFile), hash);
  return vectors;
}

}  // namespace

struct Partition::Impl {
  Impl(const fs::path& f, PartitionManifest m)
      : folder(f),
        manifest(std::move(m)),
        id_file(f / kIdsFile),
        vectors(ReadVectors(folder, manifest)),
        store(f / kStoreFolder) {
    CheckHash(folder / kIdsFile, EntryOf(manifest, kIdsFile), HashFileHex(folder / kIdsFile));
    ids = {reinterpret_cast<const SequenceId*>(id_file.bytes().data()), id_file.bytes().size() / sizeof(SequenceId)};
  }

  // The row of an id, or -1.
  int64_t Row(SequenceId id) const {
    const auto at = std::lower_bound(ids.begin(), ids.end(), id);
    return at != ids.end() && *at == id ? at - ids.begin() : -1;
  }

  const fs::path folder;
  const PartitionManifest manifest;
  const MappedFile id_file;
  const VectorIndex vectors;
  const StoreReader store;
  std::span<const SequenceId> ids;
};

Partition::Partition() = default;
Partition::~Partition() = default;

std::unique_ptr<Partition> Partition::Open(const fs::path& corpus, int number) {
  const fs::path folder = PartitionFolder(corpus, number);
  PartitionManifest manifest = ReadPartitionManifest(folder);
  if (const std::string fault = FileFault(folder, manifest); !fault.empty())
    throw Error(Code::kData, fault, "the corpus is damaged: build it again, or copy it again");
  std::unique_ptr<Partition> partition(new Partition());
  partition->impl_ = std::make_unique<Impl>(folder, std::move(manifest));
  const Impl& p = *partition->impl_;
  if (p.manifest.info.number != number || p.vectors.dim() != p.manifest.dim ||
      p.vectors.size() != p.manifest.info.sequences ||
      static_cast<int64_t>(p.ids.size()) != p.manifest.info.sequences) {
    throw Error(Code::kData, folder.string() + ": the files do not fit the manifest", "hullft index verify says more");
  }
  return partition;
}

const PartitionInfo& Partition::info() const {
  return impl_->manifest.info;
}
int Partition::dim() const {
  return impl_->manifest.dim;
}
std::span<const float> Partition::vectors() const {
  return impl_->vectors.vectors();
}
std::span<const SequenceId> Partition::ids() const {
  return impl_->ids;
}
bool Partition::Contains(SequenceId id) const {
  return impl_->Row(id) >= 0;
}

std::vector<std::vector<Hit>> Partition::Search(std::span<const float> queries, int nq, int k) const {
  std::vector<std::vector<Hit>> hits(static_cast<size_t>(nq));
  const auto rows = impl_->vectors.Search(queries, nq, k);
  for (size_t q = 0; q < hits.size(); ++q) {
    for (const RowHit& hit : rows[q]) hits[q].push_back({hit.score, impl_->ids[static_cast<size_t>(hit.row)]});
  }
  return hits;
}

void Partition::ReadEmbedding(SequenceId id, std::span<float> out) const {
  const int64_t row = impl_->Row(id);
  if (row < 0) throw DataError("{} holds no sequence with id {}", impl_->folder.string(), id.value);
  const auto d = static_cast<size_t>(dim());
  HULLFT_CHECK(out.size() == d);
  std::copy_n(vectors().begin() + row * dim(), d, out.begin());
}

std::vector<int32_t> Partition::ReadTokens(SequenceId id) const {
  return impl_->store.Tokens(id);
}
std::string Partition::ReadText(SequenceId id) const {
  return impl_->store.Text(id);
}
std::string Partition::ReadMetadata(SequenceId id) const {
  return impl_->store.Metadata(id);
}

}  // namespace hullft::index
