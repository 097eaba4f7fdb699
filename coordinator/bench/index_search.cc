#include "coordinator/bench/index_search.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <set>

#include "common/error.h"
#include "common/npy.h"
#include "common/thread_clock.h"
#include "coordinator/bench/measure.h"
#include "index/faiss_index.h"

namespace hullft::coordinator {
namespace {

constexpr int kQueries = 200;
constexpr double kLeastRecall = 0.95;
using Hits = std::vector<std::vector<index::RowHit>>;

double ShareFound(const Hits& found, const Hits& exact) {
  double share = 0;
  for (size_t q = 0; q < exact.size(); ++q) {
    std::set<int64_t> wanted;
    for (const index::RowHit& hit : exact[q]) wanted.insert(hit.row);
    const auto both = std::ranges::count_if(found[q], [&](const auto& hit) { return wanted.contains(hit.row); });
    share += static_cast<double>(both) / static_cast<double>(wanted.size());
  }
  return share / static_cast<double>(exact.size());
}

// The least effort whose recall suffices, or the most there is.
template <class RecallOf>
int LeastEffort(int most, const RecallOf& recall_of) {
  int high = 1;
  while (high < most && recall_of(high) < kLeastRecall) high *= 2;
  int low = high / 2;
  high = std::min(high, most);
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    (recall_of(middle) < kLeastRecall ? low : high) = middle;
  }
  return high;
}

// Real sets are small. Each row is followed by points on the way from it to some of its 10 nearest, of length 1: as
// near to each other as rows are where they lie dense, and nowhere where there are none.
std::vector<float> Enlarged(std::span<const float> values, size_t d, int times, int threads) {
  constexpr size_t kNeighbours = 10, kBatch = 256;
  const auto rows = index::EmbeddingRows::Of(values, d);
  std::mt19937_64 random(1);
  std::vector<float> all;
  all.reserve(values.size() * static_cast<size_t>(times));
  for (size_t first = 0; first < rows.size(); first += kBatch) {
    const size_t count = times > 1 ? std::min(kBatch, rows.size() - first) : rows.size();
    const auto batch = values.subspan(first * d, count * d);
    if (times == 1) return {batch.begin(), batch.end()};
    const Hits near = index::SearchRows(rows, batch, static_cast<int>(count), kNeighbours + 1, threads);
    for (size_t i = 0; i < count; ++i) {
      const auto row = batch.subspan(i * d, d);
      all.insert(all.end(), row.begin(), row.end());
      for (int t = 1; t < times; ++t) {
        const auto other = static_cast<size_t>(near[i][1 + random() % kNeighbours].row);
        const float part = static_cast<float>(random() >> 40) * 0x1p-24F;
        double square = 0;
        for (size_t j = 0; j < d; ++j) {
          all.push_back(row[j] + part * (values[other * d + j] - row[j]));
          square += static_cast<double>(all.back()) * all.back();
        }
        for (float& x : std::span(all).last(d)) x /= static_cast<float>(std::sqrt(square));
      }
    }
  }
  return all;
}

}  // namespace

void MeasurePartialSearch(const PartialSearchSettings& s, Figures* figures) {
  const NpyFile file(s.vectors);
  const auto d = static_cast<size_t>(file.shape().at(1));
  const auto given = static_cast<size_t>(file.shape()[0]);
  const std::vector<float> values = Enlarged(file.values(), d, s.enlarge, s.threads);
  const auto rows = index::EmbeddingRows::Of(values, d);
  std::vector<float> queries;
  for (size_t q = 0; q < kQueries; ++q) {
    const auto row = file.values().subspan(q * given / kQueries * d, d);
    queries.insert(queries.end(), row.begin(), row.end());
  }
  const auto type = index::IndexType::Parse(s.type, static_cast<int>(d));
  const double build_s =
      Seconds([&] { index::FaissIndex::Build(rows, {.type = type, .threads = s.threads}, s.index); });
  const auto index = index::FaissIndex::Open(s.index, type, rows, 1);
  const Hits exact = index::SearchRows(rows, queries, kQueries, s.k, s.threads);
  const auto recall_of = [&](int effort) {
    return ShareFound(index->Search(queries, kQueries, s.k, {effort, s.threads}), exact);
  };
  const int effort = LeastEffort(type.MostEffort(), recall_of);
  int next = 0;
  const auto one = [&] { return std::span(queries).subspan(static_cast<size_t>(next++ % kQueries) * d, d); };
  // Other queries each time, so that their lists are not in the processor's cache; the mean of some is one time.
  constexpr int kEach = 20;
  double cpu_s[2] = {1e9, 1e9};
  const auto timed = [&](int which, const auto& search) {
    const double before = ProcessCpuSeconds();
    for (int i = 0; i < kEach; ++i) search(one());
    cpu_s[which] = std::min(cpu_s[which], ProcessCpuSeconds() - before);
  };
  const auto partial = [&](std::span<const float> query) { index->Search(query, 1, s.k, {effort, s.threads}); };
  const auto flat = [&](std::span<const float> query) { index::SearchRows(rows, query, 1, s.k, s.threads); };
  const auto times = ShortestSeconds({[&] { timed(0, partial); }, [&] { timed(1, flat); }}, s.repetitions);
  figures->AddFact(
      "index", fmt::format("{} over {} rows of width {}, {} {}", s.type, rows.size(), d, type.EffortName(), effort));
  figures->Add({"index.build_s", "making the index " + s.type, build_s, "s", {}, {}});
  figures->Add({"index.recall", fmt::format("its recall@{}", s.k), recall_of(effort), "", kLeastRecall, {}});
  figures->Add(
      {"index.share", "share of the rows that it reads", index->ProbedShare(queries, kQueries, effort), "", {}, {}});
  figures->Add({"index.ms", "its search, batch 1", times[0] * 1e3 / kEach, "ms", {}, {}});
  figures->Add({"index.flat_ms", "the flat search, batch 1", times[1] * 1e3 / kEach, "ms", {}, {}});
  figures->Add({"index.faster", "times faster than the flat search, batch 1", times[1] / times[0], "x", 10, {}});
  figures->Add({"index.cpu_faster", "the same in CPU time", cpu_s[1] / cpu_s[0], "x", {}, {}});
}

}  // namespace hullft::coordinator
