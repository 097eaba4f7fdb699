#include "coordinator/run_stats.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/progress.h"

namespace hullft::coordinator {
namespace {

std::string BusyText(const std::vector<WorkerStats>& workers) {
  double sum = 0;
  for (const WorkerStats& worker : workers) sum += worker.busy;
  const auto [least, most] = std::ranges::minmax_element(workers, {}, &WorkerStats::busy);
  std::string text = fmt::format("{:.1f}% busy", 100 * sum / static_cast<double>(workers.size()));
  if (workers.size() > 1) {
    text += fmt::format(", from {:.1f}% (rank {} on {}) to {:.1f}% (rank {} on {})", 100 * least->busy, least->rank,
                        least->host, 100 * most->busy, most->rank, most->host);
  }
  return text;
}

}  // namespace

double RunStats::BytesPerQuery() const {
  int64_t bytes = 0;
  for (const RankTraffic& rank : ranks) bytes += rank.bytes_sent;
  const int64_t queries = finished + failed;
  return queries > 0 ? static_cast<double>(bytes) / static_cast<double>(queries) : 0;
}

std::string StatsText(const RunStats& stats) {
  const int64_t queries = stats.finished + stats.failed;
  const double seconds = std::max(stats.seconds, 1e-9);
  int64_t bytes = 0, messages = 0;
  for (const RankTraffic& rank : stats.ranks) bytes += rank.bytes_sent, messages += rank.messages_sent;
  std::string text = fmt::format("this run       {} queries in {}, {:.3g} a second\n", queries,
                                 FormatDuration(stats.seconds), static_cast<double>(queries) / seconds);
  if (!stats.workers.empty())
    text += fmt::format("{:<14} {}\n",
                        fmt::format("{} worker{}", stats.workers.size(), stats.workers.size() == 1 ? "" : "s"),
                        BusyText(stats.workers));
  text += fmt::format("coordinator    {:.1f}% of a core\n", 100 * stats.coordinator_cpu_seconds / seconds);
  text += fmt::format("tasks          {} retried, {} past their deadline, {} late results dropped\n", stats.retried,
                      stats.expired, stats.late);
  if (stats.world > 1) {
    text += fmt::format("between ranks  {} a query; {} in {} messages", FormatBytes(stats.BytesPerQuery()),
                        FormatBytes(static_cast<double>(bytes)), messages);
    const auto silent = static_cast<size_t>(stats.world) - stats.ranks.size();
    text += silent > 0 ? fmt::format(", without {} ranks that did not report\n", silent) : "\n";
  }
  return text;
}

std::string StatsJson(const RunStats& stats) {
  using nlohmann::ordered_json;
  ordered_json workers = ordered_json::array(), ranks = ordered_json::array();
  for (const WorkerStats& worker : stats.workers) {
    workers.push_back(
        {{"rank", worker.rank}, {"host", worker.host}, {"busy", worker.busy}, {"finished", worker.finished}});
  }
  for (const RankTraffic& rank : stats.ranks) {
    ranks.push_back({{"rank", rank.rank},
                     {"messages_sent", rank.messages_sent},
                     {"messages_received", rank.messages_received},
                     {"bytes_sent", rank.bytes_sent},
                     {"bytes_received", rank.bytes_received}});
  }
  const ordered_json all = {{"finished", stats.finished},
                            {"failed", stats.failed},
                            {"seconds", stats.seconds},
                            {"coordinator_cpu_seconds", stats.coordinator_cpu_seconds},
                            {"retried", stats.retried},
                            {"past_deadline", stats.expired},
                            {"late_dropped", stats.late},
                            {"bytes_per_query", stats.BytesPerQuery()},
                            {"world", stats.world},
                            {"workers", workers},
                            {"ranks", ranks}};
  return all.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace hullft::coordinator
