// Which shard serves which partitions: a pure function, the same on every rank.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace hullft::coordinator {

// Deals partitions out: first what a shard's host holds a copy of, up to the load of the fullest shard of a deal
// without copies; then the rest, the largest first, to the shard with the least so far (ties: fewer partitions, then
// the lower shard). Every shard gets one when there are as many partitions; loads differ by at most the largest
// partition. From a deal's own copies the same deal comes out again; when shards leave, the others keep theirs.
//
// sizes: of each partition, in any unit, >= 0. held: of each shard, the partitions of which its host has a copy; empty
// for none at all. Returns each shard's partitions, ascending.
std::vector<std::vector<int>> DealPartitions(std::span<const int64_t> sizes, int shards,
                                             std::span<const std::vector<int>> held = {});

}  // namespace hullft::coordinator
