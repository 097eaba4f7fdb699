// Embedding step of a build: the ranks that own partitions cut them into batches; every rank tokenizes and embeds
// batches of its own partitions, and then of those of the ranks that still have some. An owner keeps the log of each of
// its partitions in the order of ids, whoever made the batches, and writes each partition when its log is full.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "index/build_team.h"
#include "index/builder.h"
#include "index/given_embeddings.h"
#include "index/input_blocks.h"
#include "index/known_texts.h"

namespace hullft::index {

struct EmbedPlan {
  const BuildSettings& settings;
  const EmbedFunction& embed;
  const TokenizeFunction& tokenize;
  const GivenEmbeddings* given = nullptr;  // instead of embedding
  const KnownTexts* known = nullptr;       // of the corpus that grows
  int first_partition = 0;                 // the number of the build's first partition
  int threads = 1;                         // for tokenizing
  std::filesystem::path building;          // folder all ranks see
  std::span<const BlockBase> bases;
};

// A partition that stands, with what the corpus manifest says about its manifest.
struct FinishedPartition {
  int32_t number = 0;
  int64_t duplicates = 0, manifest_bytes = 0;
  int64_t sequences = 0, text_bytes = 0, tokens = 0, disk_bytes = 0;
  std::string digest, manifest_hash;
  template <class A>
  void Wire(A& a) {
    a(number, duplicates, manifest_bytes, sequences, text_bytes, tokens, disk_bytes, digest, manifest_hash);
  }
};

// Collective over the team. before runs first on every rank, within the step. Then judge runs on rank 0 with all
// partitions in order, still within the step.
void EmbedPartitions(BuildTeam& team, const EmbedPlan& plan, const std::function<void()>& before,
                     const std::function<void(const std::vector<FinishedPartition>&)>& judge);

}  // namespace hullft::index
