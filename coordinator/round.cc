#include "coordinator/round.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

#include "common/error.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/parallel.h"
#include "coordinator/message_io.h"
#include "coordinator/round_own.h"

namespace hullft::coordinator {
namespace {

constexpr size_t kRemembered = 2;  // messages to each shard: the last, and the one that a slower shard still waits for

double MillisecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

// Of a query, for all settings: its Frank-Wolfe runs follow the same path, and rarely enter more points.
constexpr int64_t kSharedColumns = 64;

bool Wants(const RoundQuery& query, int setting) {
  return query.settings.empty() || std::ranges::find(query.settings, setting) != query.settings.end();
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

// The other shards wait for this one's part: they must hear when it will not come.
template <class Function>
auto Round::TellFailures(const Function& body) {
  try {
    return body();
  } catch (const std::exception& error) {
    for (size_t s = 0; s < shards_.size(); ++s) {
      if (s != static_cast<size_t>(self_)) SendMessage(world_, shards_[s], kRoundFailed, Fatal{Failure::From(error)});
    }
    throw;
  }
}

void Round::SendAll(int tag, std::vector<std::string> payloads) {
  if (shards_.size() == 1) return;
  for (size_t s = 0; s < shards_.size(); ++s) {
    if (s != static_cast<size_t>(self_)) world_.Send(shards_[s], tag, payloads[s]);
  }
  if (sent_.size() == kRemembered) sent_.pop_front();
  sent_.emplace_back(tag, std::move(payloads));
}

void Round::Announce(const RoundWork& work) {
  if (shards_.size() == 1) return;  // encoding costs
  SendAll(kToShard, std::vector<std::string>(shards_.size(), comm::wire::Encode(RoundWork::kType, work)));
}

// A request or an error that is damaged cannot be asked for: the run ends, and goes on from its journal.
void Round::AskAgain(const comm::Envelope& damaged) {
  const std::string from =
      fmt::format("rank {} on {}", damaged.source, world_.hosts()[static_cast<size_t>(damaged.source)]);
  if (damaged.tag == kSayAgain || damaged.tag == kRoundFailed)
    throw Error(Code::kPeer, "a message from " + from + " came damaged", "start the run again");
  spdlog::warn("a message from {} came damaged and is asked for again", from);
  SendMessage(world_, damaged.source, kSayAgain, SayAgain{damaged.tag});
}

void Round::Repeat(const comm::Envelope& request) {
  const int tag = Decode<SayAgain>(world_, request).tag;
  const auto place = std::ranges::find(shards_, request.source);
  HULLFT_CHECK(place != shards_.end());
  for (auto sent = sent_.rbegin(); sent != sent_.rend(); ++sent) {
    if (sent->first == tag)
      return world_.Send(request.source, tag, sent->second[static_cast<size_t>(place - shards_.begin())]);
  }
  throw Error(Code::kPeer, fmt::format("rank {} asks again for a message of tag {} that is gone", request.source, tag));
}

std::vector<Selected> Round::Run(const RoundWork& work) {
  return TellFailures([&] { return RunSteps(work); });
}

std::vector<QueryPool> Round::Pools(const RoundWork& work) {
  return TellFailures([&] {
    std::vector<Own> own = OwnQueries(work);
    BuildAllPools(work, &own);
    std::vector<QueryPool> pools;
    for (Own& query : own) pools.push_back(std::move(query.pool));
    return pools;
  });
}

std::vector<Round::Own> Round::OwnQueries(const RoundWork& work) const {
  const auto queries = static_cast<int64_t>(work.queries.size());
  HULLFT_CHECK(work.targets.size() == static_cast<size_t>(queries) * static_cast<size_t>(dim_));
  std::vector<Own> own;
  for (int64_t q = self_; q < queries; q += static_cast<int64_t>(shards_.size())) {
    own.emplace_back();
    own.back().position = q;
    if (settings_.selects.size() > 1)
      own.back().columns = std::make_unique<select::SharedColumns>(settings_.k, kSharedColumns);
  }
  return own;
}

std::vector<Selected> Round::RunSteps(const RoundWork& work) {
  const auto start = std::chrono::steady_clock::now();
  std::vector<Own> own = OwnQueries(work);
  if (settings_.pool != PoolMode::kGlobal) BuildAllPools(work, &own);
  const double search_ms = MillisecondsSince(start) / static_cast<double>(work.queries.size());
  std::vector<Selected> results;
  for (int setting = 0; setting < static_cast<int>(settings_.selects.size()); ++setting) {
    const auto wants = [&](const RoundQuery& query) { return Wants(query, setting); };
    if (std::ranges::none_of(work.queries, wants)) continue;  // on every shard: the work is the same
    std::vector<Selected> chosen = SelectFor(work, setting, search_ms, &own);
    std::ranges::move(chosen, std::back_inserter(results));
  }
  return results;
}

std::vector<Selected> Round::SelectFor(const RoundWork& work, int setting, double search_ms, std::vector<Own>* own) {
  const select::SelectOptions& options = settings_.selects[static_cast<size_t>(setting)];
  for (Own& query : *own) query.Begin(work.queries[static_cast<size_t>(query.position)], setting, settings_.coverage);
  if (settings_.pool != PoolMode::kGlobal) Choose(work, options, own);
  if (settings_.pool != PoolMode::kKnn) ChooseGlobally(work, own);
  const auto fetch_start = std::chrono::steady_clock::now();
  FetchTokens(own);
  const double fetch_ms = MillisecondsSince(fetch_start) / static_cast<double>(work.queries.size());
  std::vector<Selected> results;
  for (Own& query : *own) {
    if (!query.wanted) continue;
    query.result.search_ms = search_ms;
    query.result.fetch_ms = fetch_ms;
    results.push_back(std::move(query.result));
  }
  return results;
}

void Round::Own::Begin(const RoundQuery& query, int setting, double coverage) {
  wanted = Wants(query, setting);
  runs.clear();
  result = {};
  result.query = query.query;
  result.setting = setting;
  result.coverage = coverage;
  result.failure = damage;
  result.pool_shared = wanted && served;
  served = served || wanted;
}

void Round::Own::Chosen(const select::Selection& chosen) {
  runs.clear();
  for (const int row : chosen.expanded) {
    if (runs.empty() || runs.back().first != row) runs.emplace_back(row, 0);
    ++runs.back().second;
  }
  result.ids.clear();
  result.leak_trained = 0;
  for (size_t i = 0; i < chosen.support.size(); ++i) {
    const auto row = static_cast<size_t>(chosen.support[i]);
    result.ids.push_back(pool.ids[row]);
    if (!pool.leaks.empty() && pool.leaks[row] != 0) result.leak_trained += chosen.counts[i];
  }
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

void Round::Choose(const RoundWork& work, const select::SelectOptions& options, std::vector<Own>* own) const {
  const auto d = static_cast<size_t>(dim_);
  ParallelFor(static_cast<int64_t>(own->size()), settings_.threads, [&](int64_t i) {
    Own& query = (*own)[static_cast<size_t>(i)];
    if (!query.wanted) return;
    Selected& result = query.result;
    result.pool = static_cast<int64_t>(query.pool.ids.size());
    result.leak_marked = query.pool.marked;
    result.leak_dropped = query.pool.dropped;
    const auto start = std::chrono::steady_clock::now();
    if (result.failure) return;  // damaged on its way here
    try {
      if (query.pool.ids.empty() && query.pool.dropped > 0) {
        throw Error(Code::kData,
                    fmt::format("the guard left nothing of the corpus: all {} sequences leak", query.pool.dropped),
                    "raise --leak-threshold, or use --guard mark");
      }
      const select::Pool pool{query.pool.rows,
                              std::span(work.targets).subspan(static_cast<size_t>(query.position) * d, d),
                              static_cast<int>(query.pool.ids.size()), dim_, query.columns.get()};
      const select::Selection chosen =
          select::Select(pool, options, work.queries[static_cast<size_t>(query.position)].text_hash);
      query.Chosen(chosen);
    } catch (const std::exception& error) {
      result.failure = Failure::From(error);
    }
    result.select_ms = MillisecondsSince(start);
  });
}

}  // namespace hullft::coordinator
