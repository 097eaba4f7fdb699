// A round's pools: steps 1 to 3 of round.h.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "coordinator/round.h"
#include "coordinator/round_exchange.h"
#include "coordinator/round_own.h"
#include "coordinator/select/pool.h"
#include "index/sequence_sums.h"

namespace hullft::coordinator {
namespace {

using Candidate = RoundCandidate;

bool Before(const Candidate& a, const Candidate& b) {
  return a.score != b.score ? a.score > b.score : a.id < b.id;
}

double Norm(std::span<const float> x) {
  double sum = 0;
  for (const float v : x) sum += static_cast<double>(v) * v;
  return std::sqrt(sum);
}

}  // namespace

void Round::BuildAllPools(const RoundWork& work, std::vector<Own>* own) {
  std::vector<int64_t> active(work.queries.size());
  std::iota(active.begin(), active.end(), int64_t{0});
  for (int depth = settings_.k + settings_.margin; !active.empty(); depth *= 4)
    active = BuildPools(work, active, depth, own);
}

// The `depth` best of every active query in this shard's partitions, one message per owner.
std::vector<Candidates> Round::Search(const RoundWork& work, std::span<const int64_t> active, int depth) const {
  const auto d = static_cast<size_t>(dim_);
  std::vector<float> targets(active.size() * d);
  for (size_t a = 0; a < active.size(); ++a) {
    std::copy_n(work.targets.begin() + static_cast<int64_t>(static_cast<size_t>(active[a]) * d), d,
                targets.begin() + static_cast<int64_t>(a * d));
  }
  std::vector<std::vector<Candidate>> found(active.size());
  for (const auto& partition : partitions_) {
    const auto hits = partition->Search(targets, static_cast<int>(active.size()), depth,
                                        {settings_.search_effort, settings_.threads});
    for (size_t a = 0; a < active.size(); ++a) {
      for (const index::Hit& hit : hits[a]) found[a].push_back({hit.score, hit.id.value, self_});
    }
  }
  std::vector<Candidates> out(shards_.size());
  for (size_t a = 0; a < active.size(); ++a) {
    std::sort(found[a].begin(), found[a].end(), Before);
    if (found[a].size() > static_cast<size_t>(depth)) found[a].resize(static_cast<size_t>(depth));
    CandidateList& list = out[static_cast<size_t>(active[a]) % shards_.size()].lists.emplace_back();
    for (const Candidate& candidate : found[a]) {
      list.scores.push_back(candidate.score);
      list.ids.push_back(candidate.id);
    }
  }
  return out;
}

// Steps 1 to 3. Returns the queries, of all shards, whose pool is not certain yet.
std::vector<int64_t> Round::BuildPools(const RoundWork& work, std::span<const int64_t> active, int depth,
                                       std::vector<Own>* own) {
  const std::vector<Candidates> in = Exchange(kCandidates, Search(work, active, depth));
  std::vector<Own*> mine;
  for (const int64_t position : active) {
    if (position % static_cast<int64_t>(shards_.size()) != self_) continue;
    Own& query = (*own)[static_cast<size_t>(position) / shards_.size()];
    const size_t place = mine.size();
    query.candidates.clear();
    query.bounded = false;
    const auto bound_by = [&](double score) {
      query.bound = query.bounded ? std::max(query.bound, score) : score;
      query.bounded = true;
    };
    for (size_t s = 0; s < in.size(); ++s) {
      const CandidateList& list = in[s].lists.at(place);
      for (size_t i = 0; i < list.ids.size(); ++i)
        query.candidates.push_back({list.scores.at(i), list.ids[i], static_cast<int>(s)});
      if (list.ids.size() >= static_cast<size_t>(depth)) bound_by(list.scores.back());
    }
    std::sort(query.candidates.begin(), query.candidates.end(), Before);
    if (query.candidates.size() > static_cast<size_t>(depth)) {
      bound_by(query.candidates[static_cast<size_t>(depth)].score);
      query.candidates.resize(static_cast<size_t>(depth));
    }
    mine.push_back(&query);
  }
  FetchVectors(mine);

  if (settings_.guard != GuardMode::kOff) FetchMarks(work, mine);
  QueryList again;
  for (Own* query : mine) {
    if (!SettlePool(work, query)) again.queries.push_back(query->position);
  }
  std::vector<int64_t> uncertain;
  for (const QueryList& list : Exchange(kAgain, std::vector<QueryList>(shards_.size(), again))) {
    uncertain.insert(uncertain.end(), list.queries.begin(), list.queries.end());
  }
  std::sort(uncertain.begin(), uncertain.end());
  return uncertain;
}

// Orders a query's candidates and cuts them to its pool. False: a sequence that was not found may belong to it.
bool Round::SettlePool(const RoundWork& work, Own* query) const {
  const auto d = static_cast<size_t>(dim_), k = static_cast<size_t>(settings_.k);
  const auto target = std::span(work.targets).subspan(static_cast<size_t>(query->position) * d, d);
  std::vector<uint64_t> ids;
  double longest = 0;
  for (size_t c = 0; c < query->candidates.size(); ++c) {
    ids.push_back(query->candidates[c].id);
    longest = std::max(longest, Norm(std::span(query->vectors).subspan(c * d, d)));
  }
  const bool drop = settings_.guard == GuardMode::kDrop;
  const select::PoolOrder order =
      select::RescorePool(ids, query->vectors, target, drop ? static_cast<int>(ids.size()) : settings_.k);
  QueryPool pool;
  query->pool_shards.clear();
  for (size_t i = 0; i < order.rows.size() && pool.ids.size() < k; ++i) {
    const auto row = static_cast<size_t>(order.rows[i]);
    const uint8_t leaks = query->marks.empty() ? 0 : query->marks[row];
    pool.marked += leaks;
    if (drop && leaks != 0) {
      ++pool.dropped;
      continue;
    }
    pool.ids.push_back(order.ids[i]);
    pool.scores.push_back(order.scores[i]);
    if (!query->marks.empty()) pool.leaks.push_back(leaks);
    pool.rows.insert(pool.rows.end(), &query->vectors[row * d], &query->vectors[row * d] + d);
    query->pool_shards.push_back(query->candidates[row].shard);
  }
  // |computed - exact| <= d u |x| |t| for an inner product in float32 (u = 2^-24; Higham 2002, section 3.1), whatever
  // its order of additions; twice that, as both scores are computed.
  const double slack = 2 * static_cast<double>(dim_) * 0x1p-24 * longest * Norm(target);
  if (query->bounded && !ids.empty() && (pool.ids.size() < k || query->bound + slack >= pool.scores.back()))
    return false;
  query->pool = std::move(pool);
  return true;
}

void Round::FetchVectors(std::vector<Own*>& wanted) {
  std::vector<IdList> requests(shards_.size());
  for (const Own* query : wanted) {
    for (const Candidate& candidate : query->candidates)
      requests[static_cast<size_t>(candidate.shard)].ids.push_back(candidate.id);
  }
  const auto d = static_cast<size_t>(dim_);
  std::vector<Vectors> answers(shards_.size());
  const std::vector<IdList> asked = Exchange(kVectorIds, std::move(requests));
  for (size_t s = 0; s < asked.size(); ++s) {
    answers[s].rows.resize(asked[s].ids.size() * d);
    answers[s].sums.resize(asked[s].ids.size());
    ByHolder(asked[s].ids, [&](const index::Partition& holder, auto ids, auto places) {
      std::vector<float> read(ids.size() * d);
      holder.ReadEmbeddings(ids, read);
      for (size_t i = 0; i < places.size(); ++i) {
        const auto row = std::span<const float>(read).subspan(i * d, d);
        std::ranges::copy(row, &answers[s].rows[places[i] * d]);
        answers[s].sums[places[i]] = holder.EmbeddingSum(ids[i], row);
      }
    });
  }
  const std::vector<Vectors> vectors = Exchange(kVectors, std::move(answers));
  std::vector<size_t> at(shards_.size(), 0);
  for (Own* query : wanted) {
    query->vectors.clear();
    query->vectors.reserve(query->candidates.size() * d);
    for (const Candidate& candidate : query->candidates) {
      const auto s = static_cast<size_t>(candidate.shard);
      HULLFT_CHECK((at[s] + 1) * d <= vectors[s].rows.size() && at[s] < vectors[s].sums.size());
      const auto row = std::span(vectors[s].rows).subspan(at[s] * d, d);
      query->vectors.insert(query->vectors.end(), row.begin(), row.end());
      if (index::SumOf(std::span<const float>(row)) != vectors[s].sums[at[s]]) {
        query->damage =
            Failure{kDamagedCode, fmt::format("the embedding of sequence {} changed on its way", candidate.id), ""};
      }
      ++at[s];
    }
  }
}

}  // namespace hullft::coordinator
