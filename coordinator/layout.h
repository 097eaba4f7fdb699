// Which rank plays which roles, and which shard serves which partitions: pure functions of the world, without
// communication.
//
// Every host's first rank is a shard, rank 0 is also the coordinator; every other rank of a host is a worker. A host
// with one rank has its shard and worker on that rank. Every rank computes the same layout from the same arguments.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "coordinator/deal.h"

namespace hullft::coordinator {

struct RankRoles {
  bool coordinator = false, shard = false, worker = false;
  int shard_index = -1;  // place among the shards, ordered by rank; -1: no shard
};

struct Layout {
  std::vector<RankRoles> ranks;
  std::vector<int> shards;                   // world rank of each shard; the first is rank 0
  std::vector<int> workers;                  // world rank of each worker
  std::vector<std::vector<int>> partitions;  // of each shard, ascending
};

// hosts: of each rank. partition_sizes: of each partition, in any unit. held: of each rank, the partitions of which its
// host has a copy; empty for none at all. Throws kUsage for more shards than partitions.
Layout MakeLayout(std::span<const std::string> hosts, std::span<const int64_t> partition_sizes,
                  std::span<const std::vector<int>> held = {});

// "rank 0 on n1: coordinator, shard (partitions 0 2)" lines, for the start of a run and its folder.
std::string LayoutTable(const Layout& layout, std::span<const std::string> hosts);

}  // namespace hullft::coordinator
