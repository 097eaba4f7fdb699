// Builds a corpus (docs/formats/corpus.md) from JSONL files and folders of texts, or from finished corpora; or adds a
// generation to one. Stages, each of which could run on other ranks than the one before: read -> deal to partitions by
// content hash -> (per partition) drop duplicates -> tokenize and embed -> store, index, manifest -> corpus manifest.
//
// Runs on one rank or on many, with the same corpus: every rank reads blocks of the input, owns the partitions with
// number mod ranks = rank, and embeds what it owns, then what others have left. Needs a folder that all ranks share.
//
// Works in OUTPUT.building and renames it to OUTPUT as the last step. Killed at any moment, the same call goes on where
// it stopped, losing at most one batch of embeddings; the result is the same.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/comm/communicator.h"
#include "index/corpus.h"

namespace hullft::index {

// Texts to vectors. A text's vector must not depend on the batch it comes in.
struct EmbedFunction {
  std::function<void(std::span<const std::string_view> texts, std::span<float> out)>
      embed;  // out: row-major [texts][dim]
  int dim = 0;
  std::string digest;  // two functions with one digest give the same vectors
  EncoderUse use = {};
};

// A text to tokens without special ones. Called from several threads at once.
struct TokenizeFunction {
  std::function<std::vector<int32_t>(std::string_view text)> tokenize;
  std::string digest;
};

struct BuildSettings {
  std::vector<std::string> inputs;    // JSONL files (.jsonl, .gz, .zst), folders of text files
  std::vector<std::string> corpora;   // instead of inputs: finished corpora, whose tokens and embeddings are kept
  std::string output;                 // folder of the corpus; must not exist
  bool grow = false;                  // output is a finished corpus, which gets another generation
  int partitions = 1;                 // P: at least the shards that will serve it; 0: as many as grows or is read
  std::string embeddings;             // to use instead of embedding: OpenEmbeddings (given_embeddings.h); "": none
  std::string row_order;              // of embeddings; "": as they lie
  bool keep_ids = false;              // records of JSONL bring their ids (field "id"), unique over all
  int64_t chunk_bytes = 4096;         // of text files
  int64_t max_line_bytes = 16 << 20;  // longer JSONL lines are bad records
  int64_t max_rejects = 0;            // more bad records than this end the build
  std::string rejects;                // where bad records are listed; "": OUTPUT.rejects.jsonl
  int batch = 128;                    // sequences embedded between two points of no loss
  int64_t block_bytes = 64 << 20;     // of a plain JSONL file: what a rank reads at a time
  EmbeddingType embedding_type = EmbeddingType::kF32;  // as which embeddings are stored; they are rounded to it once
  std::string index = "Flat";                          // index_type.h; "": that of the corpus that grows or is read
  double target_recall = 0.95;  // what an index other than Flat must find of the recall_k nearest, in the mean
  int recall_k = 200;
  int64_t memory_budget = 0;   // bytes of what grows with the corpus: a partition's sort and index; 0: no limit
  int threads = 0;             // for tokenizing and writing, of this rank; 0: hullft::UsableCores()
  bool force = false;          // start over, and replace a finished corpus
  bool quiet = false;          // no progress
  std::function<bool()> stop;  // asked between batches: true ends the build in order (kInterrupted)

  // All faults in one kUsage error.
  void Validate() const;
  bool embeds() const { return embeddings.empty() && corpora.empty(); }  // else embeddings are given
};

struct BuildFunctions {
  EmbedFunction embed;
  TokenizeFunction tokenize;
};
// Called once, on every rank, unless corpora are read: what it throws on one rank ends the build on all.
using LoadFunction = std::function<BuildFunctions()>;

// embed.embed may be empty when settings.embeddings is given; embed.digest and embed.dim then say whose vectors they
// are when they are not empty (else the digest is the file's hash). Throws kData for bad input (leaving nothing behind
// but the list of rejects), kUsage when OUTPUT exists or an unfinished build there has other settings.
// Collective over world, which it has to itself; settings are the same on all ranks but for threads and stop. What
// fails on one rank is thrown on all, after at most one batch. The info is rank 0's; elsewhere it is empty.
// A corpus that grows keeps every file of its earlier generations, and is whole at any moment: its new manifest is the
// last step. What had been added by the same call before is not added again.
CorpusInfo BuildCorpus(comm::Communicator& world, const BuildSettings& settings, const LoadFunction& load);

// On one rank.
CorpusInfo BuildCorpus(const BuildSettings& settings, EmbedFunction embed, const TokenizeFunction& tokenize);

}  // namespace hullft::index
