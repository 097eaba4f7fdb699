#include "index/faiss_index.h"

#include <faiss/IndexFlat.h>
#include <faiss/IndexHNSW.h>
#include <faiss/IndexIVF.h>
#include <faiss/IndexScalarQuantizer.h>
#include <faiss/index_io.h>

#include <algorithm>
#include <cmath>

#include "common/blas.h"
#include "common/error.h"
#include "common/files.h"
#include "common/parallel.h"
#include "common/simd.h"
#include "index/code_scan.h"
#include "index/faiss_call.h"
#include "index/read_ahead.h"

namespace hullft::index {
namespace {
using faiss::Index;
static_assert(std::is_same_v<Index::idx_t, int64_t>);

constexpr const char* kMakeAgain = "hullft index verify --repair makes it again";

HULLFT_CLONES float Score(std::span<const float> row, const float* query) {
  constexpr size_t kLanes = 16;
  float lane[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= row.size(); i += kLanes) {
    for (size_t l = 0; l < kLanes; ++l) lane[l] += row[i + l] * query[i + l];
  }
  for (; i < row.size(); ++i) lane[0] += row[i] * query[i];
  float sum = 0;
  for (const float x : lane) sum += x;
  return sum;
}

// Inner products of one query with n rows ([n][d]) that lie together.
void Multiply(const float* rows, size_t n, size_t d, const float* query, std::vector<float>* scores) {
  scores->resize(n);
  const int count = static_cast<int>(n), width = static_cast<int>(d), one_query = 1;
  const float one = 1, zero = 0;
  sgemm_("T", "N", &count, &one_query, &width, &one, rows, &width, query, &width, &zero, scores->data(), &count);
}

bool HasByteCodes(const faiss::IndexIVFScalarQuantizer* index) {
  return index != nullptr && index->sq.qtype == faiss::ScalarQuantizer::QT_8bit &&
         index->code_size == static_cast<size_t>(index->d) &&
         (index->ntotal == 0 || index->sq.trained.size() == 2 * static_cast<size_t>(index->d));
}

// Lists and centres are read here, not by FAISS: as many and as wide as a query takes them to be.
bool FitsItsLists(const faiss::IndexIVF& index, const faiss::IndexFlat& centres, const IndexType& type, size_t dim) {
  if (index.ntotal == 0) return true;  // no query looks into it, and nothing was trained
  const bool codes = type.code != "Flat" || index.code_size == dim * sizeof(float);
  return codes && centres.d == static_cast<int>(dim) && centres.ntotal == static_cast<int64_t>(index.nlist) &&
         index.invlists != nullptr && index.invlists->nlist == index.nlist &&
         index.invlists->code_size == index.code_size;
}

// The lists of an IVF that a query looks into.
struct Probes {
  std::vector<Index::idx_t> lists;
  std::vector<float> scores;  // of their centres
};

}  // namespace

struct FaissIndex::Impl {
  std::unique_ptr<Index> index;
  const faiss::IndexIVF* ivf = nullptr;                   // index, where it is one
  const faiss::IndexFlat* centres = nullptr;              // of its lists
  const faiss::IndexIVFScalarQuantizer* bytes = nullptr;  // index, where its codes are a byte a dimension
  IndexType type;
  EmbeddingRows rows;
  int effort = 0;

  // The nearest lists; their reading begins.
  Probes Probe(const float* query, int used_effort) const {
    BestRows best(static_cast<size_t>(used_effort));
    std::vector<float> scores;
    Multiply(centres->get_xb(), ivf->nlist, rows.dim, query, &scores);
    best.Offer(scores.data(), scores.size(), int64_t{0});
    Probes probes;
    std::vector<std::span<const std::byte>> parts;
    for (const RowHit& hit : best.Take()) {
      probes.lists.push_back(hit.row);
      probes.scores.push_back(hit.score);
      const auto list = static_cast<size_t>(hit.row);
      const size_t n = ivf->invlists->list_size(list);
      parts.push_back(std::as_bytes(std::span(ivf->invlists->get_codes(list), n * ivf->code_size)));
      parts.push_back(std::as_bytes(std::span(ivf->invlists->get_ids(list), n)));
    }
    ReadAheadAll(parts);
    return probes;
  }

  // Every step-th list from `first` on, where the codes are the vectors themselves or a byte a dimension.
  void ScanLists(const float* query, const Probes& probes, size_t first, size_t step, BestRows* best) const {
    CodeQuery code_query;
    if (bytes != nullptr) code_query = MakeCodeQuery({query, rows.dim}, bytes->sq.trained);
    std::vector<float> scores;
    for (size_t p = first; p < probes.lists.size(); p += step) {
      const auto list = static_cast<size_t>(probes.lists[p]);
      const size_t n = ivf->invlists->list_size(list);
      if (n == 0) continue;
      const uint8_t* codes = ivf->invlists->get_codes(list);
      if (bytes != nullptr) {
        scores.resize(n);
        ScoreCodes(code_query, bytes->by_residual ? probes.scores[p] : 0, codes, n, scores.data());
      } else {
        Multiply(reinterpret_cast<const float*>(codes), n, rows.dim, query, &scores);
      }
      best->Offer(scores.data(), n, std::as_bytes(std::span(ivf->invlists->get_ids(list), n)));
    }
  }

  // Rows to find by their codes for k in the end.
  size_t Wanted(size_t k) const {
    const double wanted = std::ceil(static_cast<double>(k) * type.oversampling);
    return std::min(static_cast<size_t>(wanted), static_cast<size_t>(index->ntotal));
  }

  // What FAISS finds by codes or links, scored again from the embeddings.
  std::vector<RowHit> Found(const float* query, size_t k, const Probes& probes, int used_effort) const {
    const size_t wanted = Wanted(k);
    const auto count = static_cast<Index::idx_t>(wanted);
    std::vector<float> scores(wanted);
    std::vector<Index::idx_t> found(wanted);
    if (ivf != nullptr) {
      faiss::IVFSearchParameters parameters;
      parameters.nprobe = probes.lists.size();
      ivf->search_preassigned(1, query, count, probes.lists.data(), probes.scores.data(), scores.data(), found.data(),
                              false, &parameters);
    } else {
      faiss::SearchParametersHNSW parameters;
      parameters.efSearch = used_effort;
      index->search(1, query, count, scores.data(), found.data(), &parameters);
    }
    std::erase(found, -1);  // fewer than wanted
    return Rescored(query, k, found);
  }

  std::vector<RowHit> Rescored(const float* query, size_t k, std::span<const Index::idx_t> found) const {
    CheckRows(found);
    rows.Prefetch(found);
    BestRows best(k);
    std::vector<float> scratch;
    for (const Index::idx_t row : found)
      best.Offer({row, Score(rows.Get(static_cast<size_t>(row), 1, &scratch), query)});
    return best.Take();
  }

  // The file's blocks have no checksums that are looked at here.
  void CheckRows(std::span<const Index::idx_t> found) const {
    for (const Index::idx_t row : found) {
      if (row < 0 || row >= index->ntotal)
        throw Error(Code::kData, fmt::format("the index {} names row {} of {}", type.name, row, index->ntotal),
                    kMakeAgain);
    }
  }

  // Lists that are scanned here, not by FAISS.
  bool ScansLists() const { return bytes != nullptr || (ivf != nullptr && type.code == "Flat"); }

  // Few queries share out their lists among the threads; what is best does not depend on how.
  void ScanProbes(std::span<const float> queries, std::span<const Probes> probes, size_t k, int threads,
                  std::vector<std::vector<RowHit>>* hits) const {
    const size_t shares = probes.size() < static_cast<size_t>(threads) ? static_cast<size_t>(threads) : 1;
    std::vector<BestRows> best(probes.size() * shares, BestRows(Wanted(k)));
    ParallelFor(static_cast<int64_t>(best.size()), threads, [&](int64_t i) {
      const BlasThreads alone(1);
      const size_t q = static_cast<size_t>(i) / shares, share = static_cast<size_t>(i) % shares;
      ScanLists(queries.data() + q * rows.dim, probes[q], share, shares, &best[static_cast<size_t>(i)]);
    });
    ParallelFor(static_cast<int64_t>(probes.size()), threads, [&](int64_t i) {
      const auto q = static_cast<size_t>(i);
      for (size_t share = 1; share < shares; ++share) best[q * shares].Merge(best[q * shares + share]);
      (*hits)[q] = best[q * shares].Take();
      std::vector<Index::idx_t> found;
      for (const RowHit& hit : (*hits)[q]) found.push_back(hit.row);
      if (bytes != nullptr) {
        (*hits)[q] = Rescored(queries.data() + q * rows.dim, k, found);
      } else {
        CheckRows(found);
      }
    });
  }
};

FaissIndex::FaissIndex() : impl_(std::make_unique<Impl>()) {}
FaissIndex::~FaissIndex() = default;

std::unique_ptr<FaissIndex> FaissIndex::Open(const std::filesystem::path& path, const IndexType& type,
                                             const EmbeddingRows& rows, int effort) {
  std::unique_ptr<FaissIndex> opened(new FaissIndex());
  Impl& impl = *opened->impl_;
  const int flags = type.kind == IndexKind::kIvf ? faiss::IO_FLAG_MMAP | faiss::IO_FLAG_READ_ONLY : 0;
  try {
    impl.index.reset(faiss::read_index(path.c_str(), flags));
  } catch (const std::exception& error) {  // FaissException, and bad_alloc or length_error for absurd lengths
    throw Error(Code::kData, fmt::format("{} is not a FAISS index: {}", path.string(), error.what()), kMakeAgain);
  }
  impl.ivf = dynamic_cast<const faiss::IndexIVF*>(impl.index.get());
  if (impl.ivf != nullptr) impl.centres = dynamic_cast<const faiss::IndexFlat*>(impl.ivf->quantizer);
  impl.bytes = dynamic_cast<const faiss::IndexIVFScalarQuantizer*>(impl.ivf);
  const bool ivf = impl.centres != nullptr && (type.code == "SQ8") == HasByteCodes(impl.bytes) &&
                   FitsItsLists(*impl.ivf, *impl.centres, type, rows.dim);
  const bool hnsw = dynamic_cast<const faiss::IndexHNSW*>(impl.index.get()) != nullptr;
  if ((type.kind == IndexKind::kIvf ? !ivf : !hnsw) || impl.index->metric_type != faiss::METRIC_INNER_PRODUCT ||
      impl.index->d != static_cast<int>(rows.dim) || impl.index->ntotal != static_cast<int64_t>(rows.size())) {
    throw Error(
        Code::kData,
        fmt::format("{} is not an index {} over {} rows of width {}", path.string(), type.name, rows.size(), rows.dim),
        kMakeAgain);
  }
  impl.type = type;
  impl.rows = rows;
  impl.effort = effort;
  return opened;
}

int FaissIndex::dim() const {
  return impl_->index->d;
}
int64_t FaissIndex::size() const {
  return impl_->index->ntotal;
}

double FaissIndex::ProbedShare(std::span<const float> queries, int nq, int effort) const {
  if (impl_->ivf == nullptr || nq == 0 || size() == 0) return 1;
  double rows = 0;
  for (int q = 0; q < nq; ++q) {
    const Probes probes = impl_->Probe(queries.data() + static_cast<size_t>(q) * static_cast<size_t>(dim()), effort);
    for (const Index::idx_t list : probes.lists)
      rows += static_cast<double>(impl_->ivf->invlists->list_size(static_cast<size_t>(list)));
  }
  return rows / nq / static_cast<double>(size());
}

std::vector<std::vector<RowHit>> FaissIndex::Search(std::span<const float> queries, int nq, int k,
                                                    const SearchOptions& options) const {
  const auto d = static_cast<size_t>(dim());
  HULLFT_CHECK(queries.size() == static_cast<size_t>(nq) * d);
  std::vector<std::vector<RowHit>> hits(static_cast<size_t>(nq));
  const int64_t wanted = std::min<int64_t>(k, size());
  if (wanted <= 0) return hits;
  int effort = options.effort > 0 ? options.effort : std::max(1, impl_->effort);
  if (impl_->ivf != nullptr) effort = std::min(effort, static_cast<int>(impl_->ivf->nlist));
  const int threads = options.threads > 0 ? options.threads : UsableCores();
  std::vector<Probes> probes(hits.size());
  ParallelFor(nq, threads, [&](int64_t q) {
    const BlasThreads blas(1);
    const OmpThreads omp(1);
    const float* query = queries.data() + static_cast<size_t>(q) * d;
    const auto at = static_cast<size_t>(q);
    if (impl_->ivf != nullptr) probes[at] = impl_->Probe(query, effort);
    if (!impl_->ScansLists())
      hits[at] = Translate([&] { return impl_->Found(query, static_cast<size_t>(wanted), probes[at], effort); });
  });
  if (impl_->ScansLists()) impl_->ScanProbes(queries, probes, static_cast<size_t>(wanted), threads, &hits);
  return hits;
}

}  // namespace hullft::index
