#include "index/corpus.h"

#include <algorithm>
#include <cstring>

#include "common/error.h"
#include "common/files.h"
#include "common/hash.h"
#include "common/test_faults.h"
#include "index/faiss_index.h"
#include "index/inputs.h"
#include "index/manifest.h"
#include "index/partition_files.h"
#include "index/sequence_store.h"
#include "index/vector_index.h"

namespace hullft::index {
namespace fs = std::filesystem;

CorpusInfo ReadCorpusInfo(const fs::path& folder) {
  return ReadCorpusManifest(folder).info;
}

const Generation& GenerationOf(const CorpusInfo& info, int partition) {
  for (const Generation& generation : info.generations) {
    if (partition < generation.first_partition + generation.partitions) return generation;
  }
  throw DataError("{} has no partition {}", info.folder.string(), partition);
}

int64_t NextFileNumber(const CorpusInfo& info) {
  const Generation& last = info.generations.back();
  if (last.files >= 0) return last.first_file + last.files;
  uint64_t most = 0;
  for (const PartitionInfo& part : info.parts) {
    const MappedFile ids(PartitionFolder(info.folder, part.number) / kIdsFile);
    uint64_t id = 0;
    if (ids.bytes().size() < sizeof id) continue;
    std::memcpy(&id, ids.bytes().last(sizeof id).data(), sizeof id);
    most = std::max(most, id);
  }
  return static_cast<int64_t>(most >> kRecordBits) + 1;
}

namespace {

// What the corpus's measurement chose; a partition alone (a copy on a node's disk, a build that is not finished) does
// not know.
int EffortOf(const fs::path& corpus) {
  return fs::exists(corpus / "corpus.json") ? ReadCorpusManifest(corpus).info.recall.effort : 0;
}

}  // namespace

struct Partition::Impl {
  // effort: of searches that name none.
  Impl(const fs::path& f, PartitionManifest m, int effort, std::shared_ptr<BlockCache> cache)
      : folder(f),
        manifest(std::move(m)),
        id_file(f / kIdsFile),
        type(IndexType::Parse(manifest.index, manifest.dim)),
        flat(OpenFlatIndex(f, manifest)),
        store(f / kStoreFolder, manifest.embedding_type, std::move(cache)),
        sums(OpenSequenceSums(f, manifest)) {
    CheckHash(folder / kIdsFile, EntryOf(manifest, kIdsFile), HashFileHex(folder / kIdsFile));
    if (type.kind != IndexKind::kFlat) faiss = FaissIndex::Open(folder / kIndexFile, type, flat->rows(), effort);
    ids = {reinterpret_cast<const SequenceId*>(id_file.bytes().data()), id_file.bytes().size() / sizeof(SequenceId)};
  }

  // The row of an id, or -1.
  int64_t Row(SequenceId id) const {
    const auto at = std::lower_bound(ids.begin(), ids.end(), id);
    return at != ids.end() && *at == id ? at - ids.begin() : -1;
  }

  // Compares what was read with its checksum, and reads once more what differs.
  template <class Value, class Read, class Differs>
  std::vector<Value> Checked(std::span<const SequenceId> wanted, const Read& read, const Differs& differs) const {
    std::vector<Value> values = read(wanted);
    for (size_t i = 0; sums != nullptr && i < wanted.size(); ++i) {
      const SequenceSums& sum = (*sums)[Row(wanted[i])];
      if (!differs(values[i], sum)) continue;
      values[i] = std::move(read(wanted.subspan(i, 1))[0]);
      if (differs(values[i], sum)) throw Damaged(wanted[i]);
    }
    return values;
  }
  Error Damaged(SequenceId id) const {
    return Error(Code::kData,
                 fmt::format("{}: what is read of sequence {} is not what was built", folder.string(), id.value),
                 "bad memory, or a damaged file: hullft index verify on the corpus tells which");
  }

  const fs::path folder;
  const PartitionManifest manifest;
  const MappedFile id_file;
  const IndexType type;
  const std::unique_ptr<FlatIndex> flat;
  std::unique_ptr<FaissIndex> faiss;  // where the index is not Flat
  const StoreReader store;
  const std::unique_ptr<SequenceSumsFile> sums;  // null: an older build
  std::span<const SequenceId> ids;
};

Partition::Partition() = default;
Partition::~Partition() = default;

std::unique_ptr<Partition> Partition::Open(const fs::path& corpus, int number, std::shared_ptr<BlockCache> cache) {
  const fs::path folder = PartitionFolder(corpus, number);
  PartitionManifest manifest = ReadPartitionManifest(folder);
  CheckBelongs(corpus, number);
  if (const std::string fault = FileFault(folder, manifest); !fault.empty())
    throw Error(Code::kData, fault, "the corpus is damaged: build it again, or copy it again");
  std::unique_ptr<Partition> partition(new Partition());
  partition->impl_ = std::make_unique<Impl>(folder, std::move(manifest), EffortOf(corpus), std::move(cache));
  const Impl& p = *partition->impl_;
  if (p.manifest.info.number != number || p.flat->dim() != p.manifest.dim ||
      p.flat->size() != p.manifest.info.sequences || static_cast<int64_t>(p.ids.size()) != p.manifest.info.sequences) {
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
const IndexType& Partition::index_type() const {
  return impl_->type;
}
EmbeddingRows Partition::rows() const {
  return impl_->flat->rows();
}
std::span<const SequenceId> Partition::ids() const {
  return impl_->ids;
}
bool Partition::Contains(SequenceId id) const {
  return impl_->Row(id) >= 0;
}

std::vector<std::vector<Hit>> Partition::Search(std::span<const float> queries, int nq, int k,
                                                const SearchOptions& options) const {
  std::vector<std::vector<Hit>> hits(static_cast<size_t>(nq));
  const VectorIndex* index = impl_->faiss.get();
  if (index == nullptr) index = impl_->flat.get();
  const auto rows = index->Search(queries, nq, k, options);
  for (size_t q = 0; q < hits.size(); ++q) {
    for (const RowHit& hit : rows[q]) hits[q].push_back({hit.score, impl_->ids[static_cast<size_t>(hit.row)]});
  }
  return hits;
}

void Partition::ReadEmbedding(SequenceId id, std::span<float> out) const {
  ReadEmbeddings({&id, 1}, out);
}

void Partition::ReadEmbeddings(std::span<const SequenceId> ids, std::span<float> out) const {
  const auto d = static_cast<size_t>(dim());
  HULLFT_CHECK(out.size() == ids.size() * d);
  std::vector<int64_t> rows;
  for (const SequenceId id : ids) {
    rows.push_back(impl_->Row(id));
    if (rows.back() < 0) throw DataError("{} holds no sequence with id {}", impl_->folder.string(), id.value);
  }
  this->rows().Prefetch(rows);
  std::vector<float> scratch;
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto row = out.subspan(i * d, d);
    std::ranges::copy(this->rows().Get(static_cast<size_t>(rows[i]), 1, &scratch), row.begin());
    if (SumOf(std::span<const float>(row)) != EmbeddingSum(ids[i], row)) throw impl_->Damaged(ids[i]);
  }
}

uint64_t Partition::TokensSum(SequenceId id, std::span<const int32_t> read) const {
  return impl_->sums ? (*impl_->sums)[impl_->Row(id)].tokens : SumOf(read);
}
uint64_t Partition::EmbeddingSum(SequenceId id, std::span<const float> read) const {
  return impl_->sums ? (*impl_->sums)[impl_->Row(id)].embedding : SumOf(read);
}
void Partition::CheckEveryRead() {
  impl_->flat->CheckEveryRead();
}

std::vector<int32_t> Partition::ReadTokens(SequenceId id) const {
  return std::move(ReadTokens({&id, 1})[0]);
}
std::string Partition::ReadText(SequenceId id) const {
  return std::move(ReadTexts({&id, 1})[0]);
}
std::vector<std::vector<int32_t>> Partition::ReadTokens(std::span<const SequenceId> ids) const {
  const auto read = [this](std::span<const SequenceId> wanted) {
    auto tokens = impl_->store.Tokens(wanted);
    if (!tokens.empty() && test_faults::Strikes(test_faults::Kind::kRead))
      test_faults::FlipBit(tokens[0].data(), static_cast<int64_t>(tokens[0].size() * sizeof(int32_t)));
    return tokens;
  };
  return impl_->Checked<std::vector<int32_t>>(ids, read, [](const auto& tokens, const SequenceSums& sum) {
    return SumOf(std::span<const int32_t>(tokens)) != sum.tokens;
  });
}
std::vector<std::string> Partition::ReadTexts(std::span<const SequenceId> ids) const {
  const auto read = [this](std::span<const SequenceId> wanted) { return impl_->store.Texts(wanted); };
  return impl_->Checked<std::string>(
      ids, read, [](const std::string& text, const SequenceSums& sum) { return Hash64(text) != sum.text; });
}
std::string Partition::ReadMetadata(SequenceId id) const {
  return impl_->store.Metadata(id);
}

}  // namespace hullft::index
