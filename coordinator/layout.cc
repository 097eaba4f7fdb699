#include "coordinator/layout.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "common/error.h"

namespace hullft::coordinator {

Layout MakeLayout(std::span<const std::string> hosts, std::span<const int64_t> partition_sizes,
                  std::span<const std::vector<int>> held) {
  HULLFT_CHECK(!hosts.empty());
  std::map<std::string, int> ranks_on_host;
  for (const std::string& host : hosts) ++ranks_on_host[host];
  Layout layout;
  layout.ranks.resize(hosts.size());
  std::map<std::string, bool> has_shard;
  for (size_t r = 0; r < hosts.size(); ++r) {
    RankRoles& roles = layout.ranks[r];
    roles.coordinator = r == 0;
    if (!has_shard[hosts[r]]) {
      has_shard[hosts[r]] = true;
      roles.shard = true;
      roles.shard_index = static_cast<int>(layout.shards.size());
      layout.shards.push_back(static_cast<int>(r));
    }
    roles.worker = !roles.shard || ranks_on_host[hosts[r]] == 1;
    if (roles.worker) layout.workers.push_back(static_cast<int>(r));
  }
  if (layout.shards.size() > partition_sizes.size()) {
    throw Error(Code::kUsage,
                fmt::format("{} hosts would be shards of a corpus with {} partitions", layout.shards.size(),
                            partition_sizes.size()),
                fmt::format("use at most {} hosts, or build the corpus with --partitions {}", partition_sizes.size(),
                            layout.shards.size()));
  }
  std::vector<std::vector<int>> of_shards;
  if (!held.empty()) {
    for (const int rank : layout.shards) of_shards.push_back(held[static_cast<size_t>(rank)]);
  }
  layout.partitions = DealPartitions(partition_sizes, static_cast<int>(layout.shards.size()), of_shards);
  return layout;
}

std::string LayoutTable(const Layout& layout, std::span<const std::string> hosts) {
  std::string text;
  for (size_t r = 0; r < layout.ranks.size(); ++r) {
    const RankRoles& roles = layout.ranks[r];
    std::vector<std::string> names;
    if (roles.coordinator) names.push_back("coordinator");
    if (roles.shard) {
      const auto& partitions = layout.partitions[static_cast<size_t>(roles.shard_index)];
      names.push_back(
          fmt::format("shard (partition{} {})", partitions.size() == 1 ? "" : "s", fmt::join(partitions, " ")));
    }
    if (roles.worker) names.push_back("worker");
    text += fmt::format("rank {} on {}: {}\n", r, hosts[r], fmt::join(names, ", "));
  }
  return text;
}

}  // namespace hullft::coordinator
