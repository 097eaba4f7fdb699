#include "index/vector_index.h"

#include <faiss/IndexFlat.h>
#include <faiss/impl/FaissException.h>
#include <faiss/impl/io.h>
#include <faiss/index_io.h>

#include <algorithm>
#include <cstring>

#include "common/error.h"
#include "common/files.h"
#include "common/hash.h"

namespace hullft::index {
namespace {

template <class Function>
auto Translate(const Function& function) {
  try {
    return function();
  } catch (const faiss::FaissException& error) {
    throw Error(Code::kInternal, fmt::format("FAISS: {}", error.what()));
  }
}

// FAISS's own file writer loses the error of the last flush.
struct Writer : faiss::IOWriter {
  explicit Writer(const std::filesystem::path& path) : file(path) {}
  size_t operator()(const void* data, size_t size, size_t count) override {
    file.Append({static_cast<const char*>(data), size * count});
    return count;
  }
  AppendFile file;
};

// Hashes each piece while it is in the cache: the vectors come from memory once.
struct Reader : faiss::IOReader {
  explicit Reader(const std::filesystem::path& path) : map(path) {}
  size_t operator()(void* to, size_t size, size_t count) override {
    const size_t n = size == 0 ? 0 : std::min(count, (map.bytes().size() - at) / size);
    auto* target = static_cast<char*>(to);
    for (const size_t end = at + n * size; at < end;) {
      const size_t piece = std::min(kPieceBytes, end - at);
      std::memcpy(target, map.bytes().data() + at, piece);
      hash.UpdateRaw({target, piece});
      target += piece;
      at += piece;
    }
    return n;
  }
  static constexpr size_t kPieceBytes = 1 << 18;
  MappedFile map;
  Hasher hash;
  size_t at = 0;
};

}  // namespace

struct VectorIndex::Impl {
  std::unique_ptr<faiss::IndexFlat> flat;
};

VectorIndex::VectorIndex(int dim) : impl_(std::make_unique<Impl>()) {
  impl_->flat = std::make_unique<faiss::IndexFlatIP>(dim);
}
VectorIndex::VectorIndex(VectorIndex&&) noexcept = default;
VectorIndex::~VectorIndex() = default;

VectorIndex VectorIndex::Read(const std::filesystem::path& path, std::string* hash) {
  Reader reader(path);
  std::unique_ptr<faiss::Index> index;
  try {
    index.reset(faiss::read_index(&reader));
  } catch (const std::exception& error) {  // FaissException, and bad_alloc or length_error for absurd lengths
    throw Error(Code::kData, fmt::format("{} is not a FAISS index: {}", path.string(), error.what()),
                "hullft index verify names damaged files");
  }
  auto* flat = dynamic_cast<faiss::IndexFlat*>(index.get());
  if (flat == nullptr || flat->metric_type != faiss::METRIC_INNER_PRODUCT ||
      flat->codes.size() != static_cast<size_t>(flat->ntotal) * static_cast<size_t>(flat->d) * sizeof(float)) {
    throw DataError("{} is not a flat inner-product FAISS index", path.string());
  }
  if (hash != nullptr) *hash = reader.hash.Hex();
  VectorIndex result(flat->d);
  index.release();  // NOLINT: flat is the same object
  result.impl_->flat.reset(flat);
  return result;
}

void VectorIndex::Add(std::span<const float> vectors) {
  HULLFT_CHECK(vectors.size() % static_cast<size_t>(dim()) == 0);
  Translate([&] { impl_->flat->add(static_cast<faiss::Index::idx_t>(vectors.size()) / dim(), vectors.data()); });
}

void VectorIndex::Write(const std::filesystem::path& path) const {
  Writer writer(path);
  Translate([&] { faiss::write_index(impl_->flat.get(), &writer); });
  writer.file.Sync();
}

int VectorIndex::dim() const {
  return impl_->flat->d;
}
int64_t VectorIndex::size() const {
  return impl_->flat->ntotal;
}

std::span<const float> VectorIndex::vectors() const {
  return {impl_->flat->get_xb(), static_cast<size_t>(size()) * static_cast<size_t>(dim())};
}

std::vector<std::vector<RowHit>> VectorIndex::Search(std::span<const float> queries, int nq, int k) const {
  HULLFT_CHECK(queries.size() == static_cast<size_t>(nq) * static_cast<size_t>(dim()));
  std::vector<std::vector<RowHit>> hits(static_cast<size_t>(nq));
  const auto found = static_cast<size_t>(std::min<int64_t>(k, size()));
  if (found == 0 || nq == 0) return hits;
  std::vector<float> scores(static_cast<size_t>(nq) * found);
  std::vector<faiss::Index::idx_t> rows(scores.size());
  Translate([&] {
    impl_->flat->search(nq, queries.data(), static_cast<faiss::Index::idx_t>(found), scores.data(), rows.data());
  });
  for (size_t q = 0; q < hits.size(); ++q) {
    for (size_t i = q * found; i < (q + 1) * found; ++i) {
      if (rows[i] >= 0) hits[q].push_back({rows[i], scores[i]});
    }
  }
  return hits;
}

}  // namespace hullft::index
