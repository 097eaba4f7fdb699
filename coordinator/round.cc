#include "coordinator/round.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <utility>

#include "common/error.h"
#include "common/parallel.h"
#include "coordinator/round_exchange.h"
#include "coordinator/round_own.h"
#include "coordinator/select/pool.h"

namespace hullft::coordinator {
namespace {

double MillisecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

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

Round::Round(comm::Communicator& world, std::vector<int> shards, int self,
             std::span<const std::unique_ptr<index::Partition>> partitions, RoundSettings settings)
    : world_(world),
      shards_(std::move(shards)),
      self_(self),
      partitions_(partitions),
      settings_(std::move(settings)),
      dim_(partitions.front()->dim()) {}

Round::~Round() = default;

std::vector<Selected> Round::Run(const RoundWork& work) {
  try {
    return RunUnguarded(work);
  } catch (const std::exception& error) {
    for (size_t s = 0; s < shards_.size(); ++s) {
      if (s != static_cast<size_t>(self_)) SendMessage(world_, shards_[s], kRoundFailed, Fatal{Failure::From(error)});
    }
    throw;
  }
}

std::vector<Selected> Round::RunUnguarded(const RoundWork& work) {
  const auto shards = static_cast<int64_t>(shards_.size());
  const auto queries = static_cast<int64_t>(work.queries.size());
  HULLFT_CHECK(work.targets.size() == static_cast<size_t>(queries) * static_cast<size_t>(dim_));
  const auto start = std::chrono::steady_clock::now();
  std::vector<Own> own;
  for (int64_t q = self_; q < queries; q += shards) {
    own.emplace_back();
    own.back().position = q;
    own.back().result.query = work.queries[static_cast<size_t>(q)].query;
    own.back().result.coverage = settings_.coverage;
  }
  std::vector<int64_t> active(settings_.pool == PoolMode::kGlobal ? 0 : static_cast<size_t>(queries));
  std::iota(active.begin(), active.end(), int64_t{0});
  for (int depth = settings_.k + settings_.margin; !active.empty(); depth *= 4)
    active = BuildPools(work, active, depth, &own);
  const double search_ms = MillisecondsSince(start) / static_cast<double>(queries);
  if (settings_.pool != PoolMode::kGlobal) Choose(work, &own);
  if (settings_.pool != PoolMode::kKnn) ChooseGlobally(work, &own);
  const auto fetch_start = std::chrono::steady_clock::now();
  FetchTokens(&own);
  const double fetch_ms = MillisecondsSince(fetch_start) / static_cast<double>(queries);
  std::vector<Selected> results;
  for (Own& query : own) {
    query.result.search_ms = search_ms;
    query.result.fetch_ms = fetch_ms;
    results.push_back(std::move(query.result));
  }
  return results;
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
    const auto hits = partition->Search(targets, static_cast<int>(active.size()), depth);
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

  QueryList again;
  const auto d = static_cast<size_t>(dim_);
  for (Own* query : mine) {
    const auto target = std::span(work.targets).subspan(static_cast<size_t>(query->position) * d, d);
    std::vector<uint64_t> ids;
    double longest = 0;
    for (size_t c = 0; c < query->candidates.size(); ++c) {
      ids.push_back(query->candidates[c].id);
      longest = std::max(longest, Norm(std::span(query->rows).subspan(c * d, d)));
    }
    const select::PoolOrder order = select::RescorePool(ids, query->rows, target, settings_.k);
    // |computed - exact| <= d u |x| |t| for an inner product in float32 (u = 2^-24; Higham 2002, section 3.1), whatever
    // its order of additions; twice that, as both scores are computed.
    const double slack = 2 * static_cast<double>(dim_) * 0x1p-24 * longest * Norm(target);
    if (query->bounded && !order.scores.empty() &&
        (order.scores.size() < static_cast<size_t>(settings_.k) || query->bound + slack >= order.scores.back())) {
      again.queries.push_back(query->position);
      continue;
    }
    std::vector<float> rows(order.rows.size() * d);
    query->pool = order.ids;
    query->pool_shards.clear();
    for (size_t k = 0; k < order.rows.size(); ++k) {
      const auto row = static_cast<size_t>(order.rows[k]);
      std::copy_n(query->rows.begin() + static_cast<int64_t>(row * d), d, rows.begin() + static_cast<int64_t>(k * d));
      query->pool_shards.push_back(query->candidates[row].shard);
    }
    query->rows = std::move(rows);
  }
  std::vector<int64_t> uncertain;
  for (const QueryList& list : Exchange(kAgain, std::vector<QueryList>(shards_.size(), again))) {
    uncertain.insert(uncertain.end(), list.queries.begin(), list.queries.end());
  }
  std::sort(uncertain.begin(), uncertain.end());
  return uncertain;
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
    for (size_t i = 0; i < asked[s].ids.size(); ++i) {
      Holder(asked[s].ids[i]).ReadEmbedding({asked[s].ids[i]}, std::span(answers[s].rows).subspan(i * d, d));
    }
  }
  const std::vector<Vectors> vectors = Exchange(kVectors, std::move(answers));
  std::vector<size_t> at(shards_.size(), 0);
  for (Own* query : wanted) {
    query->rows.clear();
    query->rows.reserve(query->candidates.size() * d);
    for (const Candidate& candidate : query->candidates) {
      const auto s = static_cast<size_t>(candidate.shard);
      HULLFT_CHECK(at[s] + d <= vectors[s].rows.size());
      query->rows.insert(query->rows.end(), vectors[s].rows.begin() + static_cast<int64_t>(at[s]),
                         vectors[s].rows.begin() + static_cast<int64_t>(at[s] + d));
      at[s] += d;
    }
  }
}

void Round::Own::Chosen(const select::Selection& chosen) {
  runs.clear();
  for (const int row : chosen.expanded) {
    if (runs.empty() || runs.back().first != row) runs.emplace_back(row, 0);
    ++runs.back().second;
  }
  result.ids.clear();
  for (const int row : chosen.support) result.ids.push_back(pool[static_cast<size_t>(row)]);
  result.counts = chosen.counts;
  result.weights = chosen.weights;
  result.objective = chosen.objective;
  result.gap = chosen.gap;
  result.residual_norm = chosen.residual_norm;
  result.rounded_residual_norm = chosen.rounded_residual_norm;
  result.iterations = chosen.iterations;
  result.stop = chosen.stop;
  result.measures = chosen.measures;
}

void Round::Choose(const RoundWork& work, std::vector<Own>* own) const {
  const auto d = static_cast<size_t>(dim_);
  ParallelFor(static_cast<int64_t>(own->size()), settings_.threads, [&](int64_t i) {
    Own& query = (*own)[static_cast<size_t>(i)];
    Selected& result = query.result;
    result.pool = static_cast<int64_t>(query.pool.size());
    const auto start = std::chrono::steady_clock::now();
    try {
      const select::Pool pool{query.rows, std::span(work.targets).subspan(static_cast<size_t>(query.position) * d, d),
                              static_cast<int>(query.pool.size()), dim_};
      const select::Selection chosen =
          select::Select(pool, settings_.select, work.queries[static_cast<size_t>(query.position)].text_hash);
      query.Chosen(chosen);
    } catch (const std::exception& error) {
      result.failure = Failure::From(error);
    }
    result.select_ms = MillisecondsSince(start);
  });
}

// Tokens of what was chosen, from the shards that hold it. The corpus is deduplicated by text when it is built, so one
// id is one text and nothing is left to be merged here.
void Round::FetchTokens(std::vector<Own>* own) {
  std::vector<IdList> requests(shards_.size());
  std::vector<std::vector<Training*>> places(shards_.size());
  for (Own& query : *own) {
    query.result.training.reserve(query.runs.size());  // places points into it
    for (const auto& [row, count] : query.runs) {
      const auto s = static_cast<size_t>(query.pool_shards[static_cast<size_t>(row)]);
      Training& training = query.result.training.emplace_back();
      training.count = count;
      requests[s].ids.push_back(query.pool[static_cast<size_t>(row)]);
      places[s].push_back(&training);
    }
  }
  std::vector<TokenLists> answers(shards_.size());
  const std::vector<IdList> asked = Exchange(kTokenIds, std::move(requests));
  for (size_t s = 0; s < asked.size(); ++s) {
    for (const uint64_t id : asked[s].ids) answers[s].tokens.push_back(Holder(id).ReadTokens({id}));
  }
  std::vector<TokenLists> tokens = Exchange(kTokens, std::move(answers));
  for (size_t s = 0; s < tokens.size(); ++s) {
    HULLFT_CHECK(tokens[s].tokens.size() == places[s].size());
    for (size_t i = 0; i < places[s].size(); ++i) places[s][i]->tokens = std::move(tokens[s].tokens[i]);
  }
}

const index::Partition& Round::Holder(uint64_t id) const {
  for (const auto& partition : partitions_) {
    if (partition->Contains({id})) return *partition;
  }
  throw DataError("sequence {} is not in the partitions of this shard", id);
}

}  // namespace hullft::coordinator
