#include "coordinator/bench/load_run.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "common/error.h"
#include "common/parallel.h"
#include "common/statistics.h"
#include "coordinator/bench/energy.h"
#include "coordinator/journal.h"

namespace hullft::coordinator {
namespace {
using page::kLatencies;

// Compute threads of a rank: all cores of its host, shared out among the workers there.
int ThreadsOf(const comm::Communicator& world, const RunSettings& settings) {
  const auto& hosts = world.hosts();
  const auto here = std::count(hosts.begin(), hosts.end(), hosts[static_cast<size_t>(world.rank())]);
  const bool first = std::ranges::find(hosts, hosts[static_cast<size_t>(world.rank())]) - hosts.begin() == world.rank();
  const int threads = settings.threads > 0 ? settings.threads : UsableCores();
  return first ? threads : std::max(1, threads / static_cast<int>(std::max<int64_t>(1, here - 1)));
}

page::Quantiles QuantilesOf(std::vector<double> values) {
  std::ranges::sort(values);
  return {Quantile(values, 0.5), Quantile(values, 0.95), Quantile(values, 0.99)};
}

// ms of one query, in the order of kLatencies. arrived: Unix time in ms; 0: it was there from the start.
std::array<double, kLatencies.size()> LatenciesOf(const Row& row, double arrived) {
  const StageTimes& ms = row.ms;
  const double whole = arrived > 0 ? row.ms.ended - arrived : 0;
  return {ms.embed,
          ms.search,
          ms.select,
          ms.fetch,
          ms.score_before,
          ms.tune,
          ms.score_after,
          arrived > 0 ? std::max(0.0, whole - ms.Total()) : 0,
          whole};
}

page::LoadPoint PointOf(const std::vector<Row>& rows, const RunStats& stats, const Load& load) {
  page::LoadPoint point;
  point.workers = load.workers;
  point.offered = load.offered;
  std::array<std::vector<double>, kLatencies.size()> values;
  for (size_t q = 0; q < rows.size(); ++q) {
    if (!rows[q].ok) continue;
    const double arrived = load.offered > 0 ? stats.started_ms + 1000 * static_cast<double>(q) / load.offered : 0;
    const auto ms = LatenciesOf(rows[q], arrived);
    for (size_t s = 0; s < ms.size(); ++s) values[s].push_back(ms[s]);
    ++point.queries;
  }
  if (point.queries == 0) throw DataError("not one of the {} queries of {} was finished", rows.size(), load.name);
  for (size_t s = 0; s < values.size(); ++s) point.ms[s] = QuantilesOf(std::move(values[s]));
  point.rate = static_cast<double>(point.queries) / stats.seconds;
  for (const WorkerStats& worker : stats.workers) point.busy += worker.busy / static_cast<double>(stats.workers.size());
  return point;
}

}  // namespace

page::LoadPoint MeasureLoad(BenchWorld& world, const RunPlan& plan, const Load& load) {
  RunPlan own = plan;
  own.settings.output = (std::filesystem::path(plan.settings.output) / load.name).string();
  own.settings.limit = load.queries;
  page::LoadPoint point;
  const EnergyMeter energy;
  world.On(load.workers + 1, [&](comm::Communicator& ranks) {
    RankContext context;
    context.threads = ThreadsOf(ranks, own.settings);
    context.arrivals_per_second = load.offered;
    const auto leave = [](const RunOutcome&) {
      std::fputs("hullft bench throughput: a worker does not answer\n", stderr);
      ::_exit(ExitStatus(Code::kPeer));
    };
    const RunOutcome outcome = RunRank(ranks, own, context, leave);
    if (ranks.rank() != 0) return;
    const auto rows = LatestRows(ReadJournal(std::filesystem::path(own.settings.output) / "results.jsonl").rows);
    point = PointOf(rows, outcome.stats, load);
  });
  if (const auto joules = energy.Joules(); joules && point.queries > 0)
    point.joules = *joules / static_cast<double>(point.queries);
  return point;
}

}  // namespace hullft::coordinator
