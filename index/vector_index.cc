#include "index/vector_index.h"

#include <faiss/IndexFlat.h>
#include <faiss/impl/io.h>
#include <faiss/index_io.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "common/error.h"
#include "common/parallel.h"
#include "index/block_checks.h"

namespace hullft::index {
namespace {

constexpr size_t kCheckedWhenOpened = 256 << 20;  // bytes: half a second from a slow disk

struct Reader : faiss::IOReader {
  explicit Reader(const std::filesystem::path& path) : map(path) {}
  size_t operator()(void* to, size_t size, size_t count) override {
    const size_t n = size == 0 ? 0 : std::min(count, (map.bytes().size() - at) / size);
    if (n > 0) std::memcpy(to, map.bytes().data() + at, n * size);
    at += n * size;
    return n;
  }
  MappedFile map;
  size_t at = 0;
};

}  // namespace

struct FlatIndex::Impl {
  std::optional<MappedFile> map, sums;
  std::optional<BlockChecks> checks;
  std::unique_ptr<faiss::Index> faiss;  // format 1
  EmbeddingRows rows;
};

FlatIndex::FlatIndex() : impl_(std::make_unique<Impl>()) {}
FlatIndex::~FlatIndex() = default;

std::unique_ptr<FlatIndex> FlatIndex::Open(const std::filesystem::path& path, const std::filesystem::path& sums,
                                           EmbeddingType type, int dim) {
  std::unique_ptr<FlatIndex> index(new FlatIndex());
  Impl& impl = *index->impl_;
  impl.rows = {impl.map.emplace(path).bytes(), type, static_cast<size_t>(dim)};
  if (impl.rows.size() * impl.rows.dim * BytesOf(type) != impl.rows.bytes.size()) {
    throw DataError("{}: its {} bytes are no whole number of rows of {} {} numbers", path.string(),
                    impl.rows.bytes.size(), dim, EmbeddingTypeName(type));
  }
  impl.checks.emplace(path, impl.rows.bytes, impl.sums.emplace(sums).bytes());
  impl.rows.checks = &*impl.checks;
  if (impl.rows.bytes.size() <= kCheckedWhenOpened) impl.checks->Check(0, impl.rows.bytes.size());
  return index;
}

std::unique_ptr<FlatIndex> FlatIndex::ReadFaiss(const std::filesystem::path& path) {
  Reader reader(path);
  std::unique_ptr<FlatIndex> index(new FlatIndex());
  Impl& impl = *index->impl_;
  try {
    impl.faiss.reset(faiss::read_index(&reader));
  } catch (const std::exception& error) {  // FaissException, and bad_alloc or length_error for absurd lengths
    throw Error(Code::kData, fmt::format("{} is not a FAISS index: {}", path.string(), error.what()),
                "hullft index verify names damaged files");
  }
  const auto* flat = dynamic_cast<const faiss::IndexFlat*>(impl.faiss.get());
  if (flat == nullptr || flat->metric_type != faiss::METRIC_INNER_PRODUCT ||
      flat->codes.size() != static_cast<size_t>(flat->ntotal) * static_cast<size_t>(flat->d) * sizeof(float)) {
    throw DataError("{} is not a flat inner-product FAISS index", path.string());
  }
  impl.rows = EmbeddingRows::Of({flat->get_xb(), flat->codes.size() / sizeof(float)}, static_cast<size_t>(flat->d));
  return index;
}

int FlatIndex::dim() const {
  return static_cast<int>(impl_->rows.dim);
}
int64_t FlatIndex::size() const {
  return static_cast<int64_t>(impl_->rows.size());
}
EmbeddingRows FlatIndex::rows() const {
  return impl_->rows;
}

void FlatIndex::CheckEveryRead() {
  if (impl_->checks) impl_->checks->CheckEveryRead();
}

void FlatIndex::Release() const {
  if (impl_->map) impl_->map->Release(0, impl_->map->bytes().size());
}

std::vector<std::vector<RowHit>> FlatIndex::Search(std::span<const float> queries, int nq, int k,
                                                   const SearchOptions& options) const {
  return SearchRows(impl_->rows, queries, nq, k, options.threads);
}

std::vector<std::vector<RowHit>> SearchRows(const EmbeddingRows& rows, std::span<const float> queries, int nq, int k,
                                            int threads) {
  const auto count = static_cast<size_t>(nq);
  HULLFT_CHECK(queries.size() == count * rows.dim);
  const int used = threads > 0 ? threads : UsableCores();
  const size_t wanted = std::min(static_cast<size_t>(std::max(k, 0)), rows.size());
  std::vector<std::vector<BestRows>> found(static_cast<size_t>(used), std::vector<BestRows>(count, BestRows(wanted)));
  ScanBlocks({&rows, 1}, queries, rows.dim, used, [&](size_t thread, const ScoreBlock& block) {
    for (size_t q = 0; q < count; ++q)
      found[thread][q].Offer(block.scores + q * block.rows, block.rows, static_cast<int64_t>(block.first));
  });
  std::vector<std::vector<RowHit>> hits;
  for (size_t q = 0; q < count; ++q) {
    for (size_t t = 1; t < found.size(); ++t) found[0][q].Merge(found[t][q]);
    hits.push_back(found[0][q].Take());
  }
  return hits;
}

}  // namespace hullft::index
