#include "index/recall.h"

#include <algorithm>
#include <random>
#include <set>

#include "index/corpus.h"

namespace hullft::index {
namespace {

// The k best of all partitions.
std::vector<Hit> Merge(std::vector<Hit> hits, size_t k) {
  std::sort(hits.begin(), hits.end(),
            [](const Hit& a, const Hit& b) { return a.score != b.score ? a.score > b.score : a.id < b.id; });
  hits.resize(std::min(k, hits.size()));
  return hits;
}

// Embeddings of some sequences, each as likely as any other. Row-major [queries][d].
std::vector<float> PickQueries(std::span<const std::unique_ptr<Partition>> partitions, int64_t queries, uint64_t seed) {
  int64_t sequences = 0;
  for (const auto& part : partitions) sequences += part->info().sequences;
  std::mt19937_64 random(seed);
  std::set<int64_t> places;
  while (static_cast<int64_t>(places.size()) < std::min(queries, sequences))
    places.insert(static_cast<int64_t>(random() % static_cast<uint64_t>(sequences)));
  std::vector<float> values, scratch;
  int64_t first = 0;
  for (const auto& part : partitions) {
    const int64_t end = first + part->info().sequences;
    for (auto at = places.lower_bound(first); at != places.end() && *at < end; ++at) {
      const auto row = part->rows().Get(static_cast<size_t>(*at - first), 1, &scratch);
      values.insert(values.end(), row.begin(), row.end());
    }
    first = end;
  }
  return values;
}

// Doubled from step to step, and the most there is.
std::vector<int> Efforts(const IndexType& type) {
  std::vector<int> efforts;
  for (int effort = type.kind == IndexKind::kHnsw ? 32 : 1; effort < type.MostEffort(); effort *= 2)
    efforts.push_back(effort);
  efforts.push_back(type.MostEffort());
  return efforts;
}

class Measurement {
 public:
  Measurement(std::span<const std::unique_ptr<Partition>> partitions, const RecallSettings& settings)
      : partitions_(partitions),
        settings_(settings),
        targets_(PickQueries(partitions, settings.queries, settings.seed)),
        queries_(static_cast<int>(targets_.size() / static_cast<size_t>(partitions.front()->dim()))) {
    std::vector<std::vector<Hit>> hits(static_cast<size_t>(queries_));
    for (const auto& part : partitions) {
      const auto found = SearchRows(part->rows(), targets_, queries_, settings.k, settings.threads);
      for (size_t q = 0; q < hits.size(); ++q) {
        for (const RowHit& hit : found[q]) hits[q].push_back({hit.score, part->ids()[static_cast<size_t>(hit.row)]});
      }
    }
    for (auto& list : hits) exact_.push_back(Ids(Merge(std::move(list), static_cast<size_t>(settings.k))));
  }

  int queries() const { return queries_; }

  double At(int effort) const {
    std::vector<std::vector<Hit>> hits(exact_.size());
    for (const auto& part : partitions_) {
      const auto found = part->Search(targets_, queries_, settings_.k, {effort, settings_.threads});
      for (size_t q = 0; q < hits.size(); ++q) hits[q].insert(hits[q].end(), found[q].begin(), found[q].end());
    }
    double sum = 0;
    for (size_t q = 0; q < hits.size(); ++q) {
      const auto found = Ids(Merge(std::move(hits[q]), static_cast<size_t>(settings_.k)));
      std::vector<SequenceId> both;
      std::ranges::set_intersection(found, exact_[q], std::back_inserter(both));
      sum += static_cast<double>(both.size()) / static_cast<double>(exact_[q].size());
    }
    return sum / static_cast<double>(hits.size());
  }

 private:
  static std::vector<SequenceId> Ids(const std::vector<Hit>& hits) {
    std::vector<SequenceId> ids;
    for (const Hit& hit : hits) ids.push_back(hit.id);
    std::sort(ids.begin(), ids.end());
    return ids;
  }

  const std::span<const std::unique_ptr<Partition>> partitions_;
  const RecallSettings& settings_;
  const std::vector<float> targets_;
  const int queries_;
  std::vector<std::vector<SequenceId>> exact_;  // of each query, by id
};

}  // namespace

double Recall::Of(int used_effort) const {
  double recall = 0;
  for (const RecallPoint& point : curve) {
    if (point.effort <= used_effort) recall = point.recall;
  }
  return recall;
}

Recall MeasureRecall(std::span<const std::unique_ptr<Partition>> partitions, const IndexType& type,
                     const RecallSettings& settings) {
  constexpr double kEnough = 0.9995;  // no more effort is tried above
  constexpr int kHalvings = 3;
  Recall recall{settings.k, 0, settings.target, 0, {}};
  const Measurement measurement(partitions, settings);
  recall.queries = measurement.queries();
  for (const int effort : Efforts(type)) {
    recall.curve.push_back({effort, measurement.At(effort)});
    if (recall.curve.back().recall >= kEnough) break;
  }
  const auto enough_at = [&] {
    return std::ranges::find_if(recall.curve, [&](const RecallPoint& p) { return p.recall >= settings.target; });
  };
  if (settings.effort > 0) {
    const auto at = std::ranges::lower_bound(recall.curve, settings.effort, {}, &RecallPoint::effort);
    if (at == recall.curve.end() || at->effort != settings.effort)
      recall.curve.insert(at, {settings.effort, measurement.At(settings.effort)});
    recall.effort = settings.effort;
    return recall;
  }
  for (int step = 0; step < kHalvings; ++step) {  // between the doublings, where the target is passed
    const auto above = enough_at();
    if (above == recall.curve.begin() || above == recall.curve.end()) break;
    const int middle = ((above - 1)->effort + above->effort) / 2;
    if (middle == (above - 1)->effort) break;
    recall.curve.insert(above, {middle, measurement.At(middle)});
  }
  const auto enough = enough_at();
  recall.effort = enough != recall.curve.end() ? enough->effort : recall.curve.back().effort;
  return recall;
}

}  // namespace hullft::index
