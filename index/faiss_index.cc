#include "index/faiss_index.h"

#include <faiss/IndexFlat.h>
#include <faiss/IndexHNSW.h>
#include <faiss/IndexIVF.h>
#include <faiss/IndexIVFPQ.h>
#include <faiss/impl/FaissException.h>
#include <faiss/impl/io.h>
#include <faiss/index_factory.h>
#include <faiss/index_io.h>
#include <omp.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "common/blas.h"
#include "common/error.h"
#include "common/files.h"
#include "common/parallel.h"
#include "common/progress.h"

namespace hullft::index {
namespace {
using faiss::Index;

constexpr int64_t kRowsPerList = 39;  // FAISS's own advice for training, and then a list is worth having
constexpr int64_t kTrainPerList = 64, kLeastSample = 16'384;
constexpr int kTrainSteps = 10;
constexpr int64_t kPqRows = 256;  // a code book has 256 entries
constexpr int64_t kBlock = 4096;  // rows added at a time

template <class Function>
auto Translate(const Function& function) {
  try {
    return function();
  } catch (const faiss::FaissException& error) {
    throw Error(Code::kInternal, fmt::format("FAISS: {}", error.what()));
  }
}

// The calling thread's OpenMP loops run on so many threads while this lives.
class OmpThreads {
 public:
  explicit OmpThreads(int threads) : before_(omp_get_max_threads()) { omp_set_num_threads(threads); }
  ~OmpThreads() { omp_set_num_threads(before_); }
  OmpThreads(const OmpThreads&) = delete;
  OmpThreads& operator=(const OmpThreads&) = delete;

 private:
  const int before_;
};

// FAISS's own file writer loses the error of the last flush.
struct Writer : faiss::IOWriter {
  explicit Writer(const std::filesystem::path& path) : file(path) {}
  size_t operator()(const void* data, size_t size, size_t count) override {
    file.Append({static_cast<const char*>(data), size * count});
    return count;
  }
  AppendFile file;
};

// `wanted` of the rows, each set of them as likely, in order (Knuth, The Art of Computer Programming 2, 3.4.2, S).
std::vector<float> Sample(const EmbeddingRows& rows, int64_t wanted, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<float> sample, scratch;
  sample.reserve(static_cast<size_t>(wanted) * rows.dim);
  const auto n = static_cast<uint64_t>(rows.size());
  for (uint64_t row = 0, left = static_cast<uint64_t>(wanted); row < n && left > 0; ++row) {
    if (random() % (n - row) >= left) continue;
    const auto values = rows.Get(row, 1, &scratch);
    sample.insert(sample.end(), values.begin(), values.end());
    --left;
  }
  return sample;
}

std::string FactoryString(const IndexType& type, int64_t rows) {
  if (type.kind != IndexKind::kIvf) return type.name;
  return fmt::format("IVF{},{}", std::min<int64_t>(type.lists, std::max<int64_t>(1, rows / kRowsPerList)), type.code);
}

void CheckBudget(const faiss::Index& index, const IndexType& type, const EmbeddingRows& rows, int64_t sample,
                 int64_t budget) {
  const auto n = static_cast<int64_t>(rows.size());
  const auto row_bytes = static_cast<int64_t>(rows.dim) * 4;
  int64_t bytes = sample * row_bytes;
  if (const auto* ivf = dynamic_cast<const faiss::IndexIVF*>(&index))
    bytes = std::max(bytes, n * static_cast<int64_t>(ivf->code_size + sizeof(faiss::Index::idx_t)) * 3 / 2);
  if (type.kind == IndexKind::kHnsw) bytes = n * (row_bytes + (2 * type.links + 4) * 4);
  if (budget == 0 || bytes <= budget) return;
  throw Error(
      Code::kUsage,
      fmt::format("the index {} of a partition of {} sequences takes {} to build, --memory-budget is {}", type.name, n,
                  FormatBytes(static_cast<double>(bytes)), FormatBytes(static_cast<double>(budget))),
      "more --partitions, a smaller code, or a larger --memory-budget");
}

void Train(Index* index, const EmbeddingRows& rows, const FaissIndex::BuildOptions& options, int64_t sample) {
  // One thread, so that sums do not depend on their number; and steps this short would only wait for each other.
  const BlasThreads blas(1);
  const OmpThreads omp(1);
  if (auto* ivf = dynamic_cast<faiss::IndexIVF*>(index)) {
    if (auto* pq = dynamic_cast<faiss::IndexIVFPQ*>(ivf)) {
      pq->do_polysemous_training = false;  // minutes of annealing for a filter that is not used here
      pq->pq.cp.min_points_per_centroid = 1;
    }
    ivf->cp.niter = kTrainSteps;
    ivf->cp.min_points_per_centroid = 1;  // the sample is what it is: no warning on standard output
    ivf->cp.max_points_per_centroid = static_cast<int>(sample);
  }
  const std::vector<float> values = Sample(rows, sample, options.seed);
  index->train(static_cast<Index::idx_t>(values.size() / rows.dim), values.data());
}

// Lists of an IVF are filled in the order of rows; only finding a row's list is shared among threads.
void AddToIvf(faiss::IndexIVF* ivf, const EmbeddingRows& rows, int threads) {
  const auto n = static_cast<int64_t>(rows.size());
  const int64_t group = kBlock * threads;
  std::vector<Index::idx_t> lists(static_cast<size_t>(group)), ids(lists.size());
  std::vector<float> scratch;
  for (int64_t first = 0; first < n; first += group) {
    const int64_t count = std::min(group, n - first);
    const auto values = rows.Get(static_cast<size_t>(first), static_cast<size_t>(count), &scratch);
    ParallelFor((count + kBlock - 1) / kBlock, threads, [&](int64_t block) {
      const BlasThreads alone(1);
      const OmpThreads omp(1);
      const int64_t begin = block * kBlock, size = std::min(kBlock, count - begin);
      ivf->quantizer->assign(size, values.data() + begin * ivf->d, lists.data() + begin);
    });
    for (int64_t i = 0; i < count; ++i) ids[static_cast<size_t>(i)] = first + i;
    ivf->add_core(count, values.data(), ids.data(), lists.data());
  }
}

void AddAll(Index* index, const EmbeddingRows& rows, int threads) {
  if (auto* ivf = dynamic_cast<faiss::IndexIVF*>(index)) return AddToIvf(ivf, rows, threads);
  // HNSW's links depend on the order in which its threads come along.
  const OmpThreads alone(1);
  const auto n = static_cast<int64_t>(rows.size());
  std::vector<float> scratch;
  for (int64_t first = 0; first < n; first += kBlock) {
    const int64_t count = std::min(kBlock, n - first);
    index->add(count, rows.Get(static_cast<size_t>(first), static_cast<size_t>(count), &scratch).data());
  }
}

float Score(std::span<const float> row, const float* query) {
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

}  // namespace

void FaissIndex::Build(const EmbeddingRows& rows, const BuildOptions& options, const std::filesystem::path& path) {
  const auto n = static_cast<int64_t>(rows.size());
  if (options.type.code.starts_with("PQ") && n < kPqRows && n > 0) {
    throw Error(
        Code::kData,
        fmt::format("a partition of {} sequences is too small for {}: it needs {}", n, options.type.name, kPqRows),
        "fewer --partitions, or --index Flat");
  }
  const OmpThreads omp(options.threads);
  Translate([&] {
    const std::unique_ptr<Index> index(faiss::index_factory(
        static_cast<int>(rows.dim), FactoryString(options.type, n).c_str(), faiss::METRIC_INNER_PRODUCT));
    const auto* ivf = dynamic_cast<const faiss::IndexIVF*>(index.get());
    const int64_t wanted =
        ivf == nullptr ? 0 : std::max(kLeastSample, static_cast<int64_t>(ivf->nlist) * kTrainPerList);
    const int64_t sample = std::min(n, wanted);
    CheckBudget(*index, options.type, rows, sample, options.memory_budget);
    if (n > 0 && !index->is_trained) Train(index.get(), rows, options, sample);
    if (n > 0) AddAll(index.get(), rows, options.threads);
    std::filesystem::remove(path);
    Writer writer(path);
    faiss::write_index(index.get(), &writer);
    writer.file.Sync();
  });
}

struct FaissIndex::Impl {
  std::unique_ptr<Index> index;
  IndexType type;
  EmbeddingRows rows;
  int effort = 0;

  std::vector<RowHit> SearchOne(const float* query, size_t k, int used_effort) const {
    const auto wanted =
        std::min<size_t>(k * static_cast<size_t>(type.oversampling), static_cast<size_t>(index->ntotal));
    std::vector<float> scores(wanted);
    std::vector<Index::idx_t> found(wanted);
    faiss::SearchParametersIVF ivf;
    ivf.nprobe = static_cast<size_t>(used_effort);
    faiss::SearchParametersHNSW hnsw;
    hnsw.efSearch = used_effort;
    const auto* parameters = type.kind == IndexKind::kIvf ? static_cast<const faiss::SearchParameters*>(&ivf) : &hnsw;
    index->search(1, query, static_cast<Index::idx_t>(wanted), scores.data(), found.data(), parameters);
    BestRows best(k);
    std::vector<float> scratch;
    for (const Index::idx_t row : found) {
      if (row < 0) continue;
      best.Offer({row, Score(rows.Get(static_cast<size_t>(row), 1, &scratch), query)});
    }
    return best.Take();
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
    throw Error(Code::kData, fmt::format("{} is not a FAISS index: {}", path.string(), error.what()),
                "hullft index verify --repair makes it again");
  }
  const bool ivf = dynamic_cast<const faiss::IndexIVF*>(impl.index.get()) != nullptr;
  const bool hnsw = dynamic_cast<const faiss::IndexHNSW*>(impl.index.get()) != nullptr;
  if ((type.kind == IndexKind::kIvf ? !ivf : !hnsw) || impl.index->metric_type != faiss::METRIC_INNER_PRODUCT ||
      impl.index->d != static_cast<int>(rows.dim) || impl.index->ntotal != static_cast<int64_t>(rows.size())) {
    throw Error(
        Code::kData,
        fmt::format("{} is not an index {} over {} rows of width {}", path.string(), type.name, rows.size(), rows.dim),
        "hullft index verify --repair makes it again");
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

std::vector<std::vector<RowHit>> FaissIndex::Search(std::span<const float> queries, int nq, int k,
                                                    const SearchOptions& options) const {
  const auto d = static_cast<size_t>(dim());
  HULLFT_CHECK(queries.size() == static_cast<size_t>(nq) * d);
  std::vector<std::vector<RowHit>> hits(static_cast<size_t>(nq));
  const int64_t wanted = std::min<int64_t>(k, size());
  if (wanted <= 0) return hits;
  const int effort = options.effort > 0 ? options.effort : std::max(1, impl_->effort);
  ParallelFor(nq, options.threads > 0 ? options.threads : UsableCores(), [&](int64_t q) {
    const BlasThreads blas(1);
    const OmpThreads omp(1);
    Translate([&] {
      hits[static_cast<size_t>(q)] =
          impl_->SearchOne(queries.data() + static_cast<size_t>(q) * d, static_cast<size_t>(wanted), effort);
    });
  });
  return hits;
}

}  // namespace hullft::index
