#include "coordinator/bench/index_search.h"

#include <algorithm>
#include <set>

#include "common/error.h"
#include "common/npy.h"
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

}  // namespace

void MeasurePartialSearch(const PartialSearchSettings& s, Figures* figures) {
  const NpyFile file(s.vectors);
  const auto d = static_cast<size_t>(file.shape().at(1));
  const auto n = static_cast<size_t>(file.shape()[0]);
  const auto rows = index::EmbeddingRows::Of(file.values(), d);
  std::vector<float> queries;
  for (size_t q = 0; q < kQueries; ++q) {
    const auto row = file.values().subspan(q * n / kQueries * d, d);
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
  const auto times = ShortestSeconds({[&] {
                                        for (int i = 0; i < kEach; ++i)
                                          index->Search(one(), 1, s.k, {effort, s.threads});
                                      },
                                      [&] {
                                        for (int i = 0; i < kEach; ++i)
                                          index::SearchRows(rows, one(), 1, s.k, s.threads);
                                      }},
                                     s.repetitions);
  figures->AddFact("index", fmt::format("{} over {} rows of width {}, {} {}", s.type, n, d, type.EffortName(), effort));
  figures->Add({"index.build_s", "making the index " + s.type, build_s, "s", {}, {}});
  figures->Add({"index.recall", fmt::format("its recall@{}", s.k), recall_of(effort), "", kLeastRecall, {}});
  figures->Add(
      {"index.share", "share of the rows that it reads", index->ProbedShare(queries, kQueries, effort), "", {}, {}});
  figures->Add({"index.ms", "its search, batch 1", times[0] * 1e3 / kEach, "ms", {}, {}});
  figures->Add({"index.flat_ms", "the flat search, batch 1", times[1] * 1e3 / kEach, "ms", {}, {}});
  figures->Add({"index.faster", "times faster than the flat search, batch 1", times[1] / times[0], "x", 10, {}});
}

}  // namespace hullft::coordinator
