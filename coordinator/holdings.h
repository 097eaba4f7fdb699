// What the ranks hold of the corpus, told to all: copies on their hosts' own disks before the partitions are dealt out,
// and how much of it the shards have open afterwards. Collective over the world, each one gather and one broadcast of a
// few bytes a partition.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "common/comm/communicator.h"

namespace hullft::coordinator {

// mine: the partitions of which this rank's host has a copy. Returns those of each rank.
std::vector<std::vector<int>> ShareCopies(comm::Communicator& world, const std::vector<int>& mine,
                                          comm::Deadline deadline);

// The share of the corpus that all shards together have open: 1 when nothing is missing. open_sequences: of this rank.
double ShareCoverage(comm::Communicator& world, int64_t open_sequences, int64_t corpus_sequences,
                     comm::Deadline deadline);

}  // namespace hullft::coordinator
