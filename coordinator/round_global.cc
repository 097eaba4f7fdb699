// A round's Frank-Wolfe over the whole corpus: the shards are the oracle, each follows every trajectory.
#include <chrono>
#include <map>
#include <utility>

#include "common/parallel.h"
#include "coordinator/round.h"
#include "coordinator/round_exchange.h"
#include "coordinator/round_own.h"
#include "coordinator/select/trajectory.h"

namespace hullft::coordinator {
namespace {

// The trajectories of a round; which shard holds the points of each.
struct Runs {
  std::vector<select::Trajectory> queries;
  std::vector<std::map<uint64_t, int>> holders;

  std::vector<size_t> Active() const {
    std::vector<size_t> active;
    for (size_t q = 0; q < queries.size(); ++q) {
      if (!queries[q].done()) active.push_back(q);
    }
    return active;
  }
};

// The shard with the best answer for each query of the iteration: the highest score, the lowest id on ties.
std::vector<size_t> Winners(const std::vector<Bests>& shards, size_t queries) {
  std::vector<size_t> winners(queries, 0);
  for (const Bests& bests : shards) {
    if (bests.scores.size() != queries || bests.ids.size() != queries)
      throw Error(Code::kPeer, fmt::format("a shard answered for {} queries, not {}", bests.scores.size(), queries));
  }
  for (size_t q = 0; q < queries; ++q) {
    for (size_t s = 1; s < shards.size(); ++s) {
      const Bests& best = shards[winners[q]];
      const double score = shards[s].scores[q];
      if (score > best.scores[q] || (score == best.scores[q] && shards[s].ids[q] < best.ids[q])) winners[q] = s;
    }
  }
  return winners;
}

}  // namespace

void Round::ChooseGlobally(const RoundWork& work, std::vector<Own>* own) {
  const auto start = std::chrono::steady_clock::now();
  if (oracle_ == nullptr) {  // here and not when the run starts, so that the other shards hear of an error
    std::vector<OraclePart> parts;
    for (const auto& partition : partitions_) parts.push_back({partition->rows(), partition->ids()});
    oracle_ = std::make_unique<Oracle>(std::move(parts), dim_, settings_.threads);
  }
  const auto d = static_cast<size_t>(dim_);
  const size_t shards = shards_.size();
  const select::SelectOptions& select = settings_.selects.front();
  Runs runs;
  for (size_t q = 0; q < work.queries.size(); ++q) {
    runs.queries.emplace_back(std::span(work.targets).subspan(q * d, d), select::FrankWolfeOptionsOf(select));
  }
  runs.holders.resize(runs.queries.size());

  for (std::vector<size_t> active = runs.Active(); !active.empty(); active = runs.Active()) {
    std::vector<const select::Trajectory*> asking;
    for (const size_t q : active) asking.push_back(&runs.queries[q]);
    const std::vector<OracleAnswer> mine = oracle_->Ask(asking);
    Bests bests;
    for (const OracleAnswer& answer : mine) {
      bests.scores.push_back(answer.score);
      bests.ids.push_back(answer.id);
    }
    const std::vector<Bests> all = Exchange(kBests, std::vector<Bests>(shards, bests));
    const std::vector<size_t> winners = Winners(all, active.size());
    Vectors won;
    for (size_t a = 0; a < active.size(); ++a) {
      if (winners[a] == static_cast<size_t>(self_))
        won.rows.insert(won.rows.end(), mine[a].row.begin(), mine[a].row.end());
    }
    const std::vector<Vectors> vectors = Exchange(kWinners, std::vector<Vectors>(shards, won));
    std::vector<size_t> at(shards, 0), place(active.size());
    for (size_t a = 0; a < active.size(); ++a) {
      const size_t s = winners[a];
      place[a] = at[s];
      at[s] += d;
      if (at[s] > vectors[s].rows.size()) throw Error(Code::kPeer, fmt::format("shard {} sent too few vectors", s));
      runs.holders[active[a]].emplace(all[s].ids[a], static_cast<int>(s));
    }
    ParallelFor(static_cast<int64_t>(active.size()), settings_.threads, [&](int64_t i) {
      const auto a = static_cast<size_t>(i);
      const size_t s = winners[a];
      runs.queries[active[a]].Take(all[s].ids[a], std::span(vectors[s].rows).subspan(place[a], d));
    });
  }

  for (Own& query : *own) {
    if (query.result.failure) continue;  // the pool's, in kBoth
    const auto q = static_cast<size_t>(query.position);
    if (settings_.pool == PoolMode::kBoth) query.result.pool_objective = query.result.objective;
    query.pool = {};
    query.pool.ids = runs.queries[q].ids();
    query.pool_shards.clear();
    for (const uint64_t id : query.pool.ids) query.pool_shards.push_back(runs.holders[q].at(id));
    query.result.pool = settings_.sequences;
    query.result.global = true;
    query.Chosen(select::SelectionOf(runs.queries[q].TakeResult(), select));
  }
  const double ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  for (Own& query : *own) query.result.select_ms += ms / static_cast<double>(runs.queries.size());
}

}  // namespace hullft::coordinator
