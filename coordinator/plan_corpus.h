// What a corpus of a planned size needs of each of its nodes: disk, memory, time to build, time of a round. Arithmetic
// from rates that were measured (`hullft bench index`); docs/scale.md says how. Thread safety: values.
//
// Letters: n sequences of a node, d width, B queries of a round.
#pragma once

#include <string>

namespace hullft::coordinator {

// Rates without a source: docs/scale.md.
struct CorpusPlanSettings {
  double corpus_sequences = 210e6;
  int dim = 1024;
  double sequence_bytes = 4000;  // UTF-8 text of one sequence
  double sequence_tokens = 1000;
  std::string index = "Flat";  // index_type.h
  std::string embedding_dtype = "f32";
  int nodes = 32;
  int cores_per_node = 2;  // that build
  double node_memory_gb = 256;
  // Measured on 2 cores.
  double text_ratio = 0.45;      // bytes on disk of a byte of text
  double token_bytes = 1.6;      // on disk of a token
  double ingest_core_mbs = 15;   // MB of text that a core reads, tokenizes and writes in a second, embeddings given
  double embed_core_texts = 17;  // texts that a core embeds in a second: MiniLM, 256 tokens
  double probed_share = 0.05;    // of its rows that an IVF reads at recall@200 of 0.95
  double disk_gbs = 1;           // reading, GB/s
  double shard_gflops = 120;     // float32 matrix products of one shard's cores
  double shard_memory_gbs = 24;
  int batch = 64;
  int k = 200, margin = 32;
};

// Of one node, in bytes and seconds.
struct CorpusPlan {
  double sequences = 0;
  double text_bytes = 0, token_bytes = 0, embedding_bytes = 0, index_bytes = 0;  // on disk
  double held_bytes = 0;   // memory that cannot be done without: what is not mapped
  double swept_bytes = 0;  // mapped bytes that rounds read again and again: fast while they stay in memory
  bool in_memory = false;  // held and swept fit into four fifths of the node's
  double ingest_s = 0, embed_s = 0, index_s = 0;
  double round_s = 0;  // searching for B queries and reading their candidates
  double disk_bytes() const { return text_bytes + token_bytes + embedding_bytes + index_bytes; }
};

// Throws kUsage for an index type that does not fit.
CorpusPlan PlanCorpus(const CorpusPlanSettings& settings);

// Corpora of 1e6, 1e8 and 2.1e8 sequences on 1, 4, 16 and 64 nodes, as Markdown; all else as in settings.
std::string CorpusPlanTable(const CorpusPlanSettings& settings);

}  // namespace hullft::coordinator
