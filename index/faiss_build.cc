// How an index is made (FaissIndex::Build).
#include <faiss/IndexFlat.h>
#include <faiss/IndexHNSW.h>
#include <faiss/IndexIVF.h>
#include <faiss/IndexIVFPQ.h>
#include <faiss/impl/io.h>
#include <faiss/index_factory.h>
#include <faiss/index_io.h>

#include <algorithm>
#include <random>

#include "common/blas.h"
#include "common/error.h"
#include "common/files.h"
#include "common/parallel.h"
#include "common/progress.h"
#include "index/faiss_call.h"
#include "index/faiss_index.h"

namespace hullft::index {
namespace {
using faiss::Index;

constexpr int64_t kRowsPerList = 39;  // FAISS's own advice for training, and then a list is worth having
constexpr int64_t kTrainPerList = 64, kLeastSample = 16'384;
constexpr int kTrainSteps = 10;
constexpr int64_t kPqRows = 256;  // a code book has 256 entries
constexpr int64_t kBlock = 4096;  // rows added at a time

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
  if (type.kind == IndexKind::kHnsw) bytes = n * (row_bytes + (int64_t{2} * type.links + 4) * 4);
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

}  // namespace hullft::index
