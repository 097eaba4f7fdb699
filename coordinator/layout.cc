#include "coordinator/layout.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "common/error.h"

namespace hullft::coordinator {

std::vector<std::vector<int>> DealPartitions(std::span<const int64_t> sizes, int shards) {
  std::vector<int> order(sizes.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return sizes[a] > sizes[b]; });
  std::vector<std::vector<int>> dealt(shards);
  std::vector<int64_t> load(shards, 0);
  for (const int partition : order) {
    size_t best = 0;
    for (size_t s = 1; s < dealt.size(); ++s) {
      // On equal load the emptier one, so that partitions of size 0 do not leave a shard without any.
      if (load[s] < load[best] || (load[s] == load[best] && dealt[s].size() < dealt[best].size())) best = s;
    }
    dealt[best].push_back(partition);
    load[best] += sizes[partition];
  }
  for (auto& partitions : dealt) std::sort(partitions.begin(), partitions.end());
  return dealt;
}

Layout MakeLayout(std::span<const std::string> hosts, std::span<const int64_t> partition_sizes) {
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
  layout.partitions = DealPartitions(partition_sizes, static_cast<int>(layout.shards.size()));
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
