#include "coordinator/layout.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <numeric>
#include <set>
#include <sstream>

#include "common/error.h"

namespace hullft::coordinator {
namespace {

constexpr char kLayoutHint[] = "write it like --layout 'coordinator=0 shards=0,4 workers=1-3,5-7'";

int ParseRank(std::string_view text, std::string_view word, int ranks) {
  int rank = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), rank);
  if (error != std::errc() || end != text.data() + text.size() || rank < 0) {
    throw Error(Code::kUsage, fmt::format("--layout: '{}' in '{}' is no rank", text, word), kLayoutHint);
  }
  if (rank >= ranks) {
    throw Error(Code::kUsage, fmt::format("--layout names rank {}, but there are {} ranks", rank, ranks),
                fmt::format("ranks are numbered from 0: the last one is {}", ranks - 1));
  }
  return rank;
}

// "1-3,7" of `word`.
std::vector<int> ParseRanks(std::string_view list, std::string_view word, int ranks) {
  std::set<int> found;
  while (true) {
    const size_t comma = list.find(',');
    const std::string_view item = list.substr(0, comma);
    const size_t dash = item.find('-');
    const int first = ParseRank(item.substr(0, dash), word, ranks);
    const int last = dash == std::string_view::npos ? first : ParseRank(item.substr(dash + 1), word, ranks);
    if (last < first)
      throw Error(Code::kUsage, fmt::format("--layout: '{}' in '{}' runs backwards", item, word), kLayoutHint);
    for (int rank = first; rank <= last; ++rank) {
      if (!found.insert(rank).second)
        throw Error(Code::kUsage, fmt::format("--layout: '{}' has rank {} twice", word, rank), kLayoutHint);
    }
    if (comma == std::string_view::npos) return {found.begin(), found.end()};
    list.remove_prefix(comma + 1);
  }
}

// Every host's first rank is its shard; every other one, and a host's only one, a worker.
LayoutSpec DefaultSpec(std::span<const std::string> hosts) {
  std::map<std::string, int> ranks_on_host;
  for (const std::string& host : hosts) ++ranks_on_host[host];
  LayoutSpec spec;
  std::set<std::string> have_shard;
  for (size_t r = 0; r < hosts.size(); ++r) {
    const bool shard = have_shard.insert(hosts[r]).second;
    if (shard) spec.shards.push_back(static_cast<int>(r));
    if (!shard || ranks_on_host[hosts[r]] == 1) spec.workers.push_back(static_cast<int>(r));
  }
  return spec;
}

}  // namespace

LayoutSpec ParseLayoutSpec(std::string_view text, int ranks) {
  LayoutSpec spec;
  std::vector<int> coordinator;
  std::istringstream words{std::string(text)};
  for (std::string word; words >> word;) {
    const size_t equals = word.find('=');
    const std::string role = word.substr(0, equals);
    std::vector<int>* const ranks_of_role = role == "coordinator" ? &coordinator
                                            : role == "shards"    ? &spec.shards
                                            : role == "workers"   ? &spec.workers
                                                                  : nullptr;
    if (ranks_of_role == nullptr || equals == std::string::npos)
      throw Error(Code::kUsage, fmt::format("--layout: '{}' is no role with its ranks", word), kLayoutHint);
    if (!ranks_of_role->empty()) throw Error(Code::kUsage, fmt::format("--layout has '{}' twice", role), kLayoutHint);
    *ranks_of_role = ParseRanks(std::string_view(word).substr(equals + 1), word, ranks);
  }
  if (!coordinator.empty() && coordinator != std::vector{0})
    throw Error(Code::kUsage, "--layout: the coordinator is rank 0 and no other", "leave coordinator=... out");
  if (spec.shards.empty()) throw Error(Code::kUsage, "--layout names no shard", kLayoutHint);
  if (spec.workers.empty()) throw Error(Code::kUsage, "--layout names no worker", kLayoutHint);
  for (int rank = 1; rank < ranks; ++rank) {
    if (!std::ranges::binary_search(spec.shards, rank) && !std::ranges::binary_search(spec.workers, rank))
      throw Error(Code::kUsage, fmt::format("--layout gives rank {} nothing to do", rank),
                  "name it among the shards or the workers, or start fewer ranks");
  }
  return spec;
}

Layout MakeLayout(std::span<const std::string> hosts, std::span<const int64_t> partition_sizes,
                  std::span<const std::vector<int>> held, std::string_view spec) {
  HULLFT_CHECK(!hosts.empty());
  const LayoutSpec roles = spec.empty() ? DefaultSpec(hosts) : ParseLayoutSpec(spec, static_cast<int>(hosts.size()));
  Layout layout;
  layout.ranks.resize(hosts.size());
  layout.ranks[0].coordinator = true;
  layout.shards = roles.shards;
  layout.workers = roles.workers;
  for (size_t s = 0; s < roles.shards.size(); ++s) {
    RankRoles& rank = layout.ranks[static_cast<size_t>(roles.shards[s])];
    rank.shard = true;
    rank.shard_index = static_cast<int>(s);
  }
  for (const int rank : roles.workers) layout.ranks[static_cast<size_t>(rank)].worker = true;
  if (layout.shards.size() > partition_sizes.size()) {
    throw Error(Code::kUsage,
                fmt::format("{} ranks would be shards of a corpus with {} partitions", layout.shards.size(),
                            partition_sizes.size()),
                fmt::format("use at most {} hosts or name the shards by --layout, or build the corpus with "
                            "--partitions {}",
                            partition_sizes.size(), layout.shards.size()));
  }
  std::vector<std::vector<int>> of_shards;
  if (!held.empty()) {
    for (const int rank : layout.shards) of_shards.push_back(held[static_cast<size_t>(rank)]);
  }
  layout.partitions = DealPartitions(partition_sizes, static_cast<int>(layout.shards.size()), of_shards);
  return layout;
}

std::string RangesText(std::span<const int> numbers) {
  std::string text;
  for (size_t i = 0; i < numbers.size();) {
    size_t last = i;
    while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1) ++last;
    text += fmt::format("{}{}", text.empty() ? "" : ",", numbers[i]);
    if (last > i) text += fmt::format("-{}", numbers[last]);
    i = last + 1;
  }
  return text;
}

namespace {

std::string SharedGpuWarnings(std::span<const std::string> hosts, std::span<const RankFacts> facts) {
  std::map<std::pair<std::string, std::string>, std::vector<int>> users;
  for (size_t r = 0; r < facts.size(); ++r) {
    if (!facts[r].gpu.empty()) users[{hosts[r], facts[r].gpu}].push_back(static_cast<int>(r));
  }
  std::string text;
  for (const auto& [gpu, ranks] : users) {
    if (ranks.size() < 2) continue;
    text += fmt::format("warning: ranks {} share GPU {} of {}, its speed and its memory\n", RangesText(ranks),
                        gpu.second, gpu.first);
  }
  return text;
}

}  // namespace

std::string LayoutTable(const Layout& layout, std::span<const std::string> hosts, std::span<const RankFacts> facts) {
  HULLFT_CHECK(hosts.size() == layout.ranks.size() && facts.size() == layout.ranks.size());
  std::vector<std::array<std::string, 7>> lines = {{"rank", "host", "pid", "roles", "device", "cores", "partitions"}};
  for (size_t r = 0; r < layout.ranks.size(); ++r) {
    const RankRoles& roles = layout.ranks[r];
    std::vector<std::string> names;
    if (roles.coordinator) names.push_back("coordinator");
    if (roles.shard) names.push_back("shard");
    if (roles.worker) names.push_back("worker");
    const std::string partitions =
        roles.shard ? RangesText(layout.partitions[static_cast<size_t>(roles.shard_index)]) : "";
    lines.push_back({std::to_string(r), hosts[r], std::to_string(facts[r].pid),
                     fmt::format("{}", fmt::join(names, "+")), facts[r].device, facts[r].cores, partitions});
  }
  std::array<size_t, 7> widths{};
  for (auto& line : lines) {
    for (size_t c = 0; c < line.size(); ++c) {
      if (line[c].empty()) line[c] = "-";
      widths[c] = std::max(widths[c], line[c].size());
    }
  }
  std::string text;
  for (const auto& line : lines) {
    for (size_t c = 0; c + 1 < line.size(); ++c) text += fmt::format("{:<{}}  ", line[c], widths[c]);
    text += line.back() + "\n";
  }
  return text + SharedGpuWarnings(hosts, facts);
}

}  // namespace hullft::coordinator
