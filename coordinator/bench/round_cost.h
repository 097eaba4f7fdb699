// What a round over shards costs beside the same round in one process, and what it sends.
#pragma once

#include <cstdint>
#include <filesystem>

#include "common/figures.h"
#include "coordinator/bench/bench_world.h"

namespace hullft::coordinator {

struct RoundCost {
  int shards = 4;
  int rows = 50'000;  // sequences of each shard
  int dim = 384;
  int queries = 64, global_queries = 16;
  int repetitions = 5;
};

// Builds a corpus of one partition a shard under scratch. Nothing is measured where the world is smaller than `shards`.
void MeasureRounds(BenchWorld& world, const std::filesystem::path& scratch, const RoundCost& settings,
                   Figures* figures);

// What a round's design says it sends, over all shards, for each query (round.h): lists of candidates, their
// embeddings, and the tokens of what was chosen; 1 / S of each is the owner's own and stays where it is.
double DesignBytesPerQuery(int shards, int candidates, int dim, double tokens);

}  // namespace hullft::coordinator
