// Which rank plays which roles, and which shard serves which partitions: pure functions of the world, without
// communication.
//
// Every host's first rank is a shard, rank 0 is also the coordinator; every other rank of a host is a worker. A host
// with one rank has its shard and worker on that rank. --layout overrides this. Every rank computes the same layout
// from the same arguments.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "coordinator/deal.h"

namespace hullft::coordinator {

struct RankRoles {
  bool coordinator = false, shard = false, worker = false;
  int shard_index = -1;  // place among the shards, ordered by rank; -1: no shard
};

struct Layout {
  std::vector<RankRoles> ranks;
  std::vector<int> shards;                   // world rank of each shard, ascending
  std::vector<int> workers;                  // world rank of each worker
  std::vector<std::vector<int>> partitions;  // of each shard, ascending
};

// The ranks that --layout names.
struct LayoutSpec {
  std::vector<int> shards, workers;  // ascending, without repeats
};

// Reads e.g. "coordinator=0 shards=0,4 workers=1-3,5-7" for a world of so many ranks. The coordinator is rank 0 and
// need not be named; every rank must have a role. Throws kUsage naming what is wrong.
LayoutSpec ParseLayoutSpec(std::string_view text, int ranks);

// hosts: of each rank. partition_sizes: of each partition, in any unit. held: of each rank, the partitions of which its
// host has a copy; empty for none at all. spec: the text of --layout, "" for the default. Throws kUsage for more shards
// than partitions, and for what ParseLayoutSpec refuses.
Layout MakeLayout(std::span<const std::string> hosts, std::span<const int64_t> partition_sizes,
                  std::span<const std::vector<int>> held = {}, std::string_view spec = "");

// What a rank tells of itself for the table.
struct RankFacts {
  int64_t pid = 0;
  std::string device;  // of its worker; "" without one
  std::string cores;   // that it may use, e.g. "0-3,8"
  std::string gpu;     // what tells its worker's GPU from others of the host (worker::DeviceIdentity); "" without one
};

// One line a rank: rank, host, pid, roles, device, cores, partitions. For the start of a run and its folder. Below them
// a warning for each GPU that several ranks use: it works, but each gets only a part of its speed and memory.
std::string LayoutTable(const Layout& layout, std::span<const std::string> hosts, std::span<const RankFacts> facts);

// Ascending numbers as "0-3,8".
std::string RangesText(std::span<const int> numbers);

}  // namespace hullft::coordinator
