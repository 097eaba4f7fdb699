#include "coordinator/plan_corpus.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/progress.h"
#include "index/embedding_type.h"
#include "index/index_type.h"

namespace hullft::coordinator {
namespace {
using index::IndexKind;
using index::IndexType;

constexpr double kIdBytes = 8, kKeyBytes = 24;           // a row's id; keys, lengths and empty metadata in the store
constexpr double kBlockCacheBytes = 256e6;               // --block-cache
constexpr double kCheckedBytes = 64 << 10;               // read with the first row of a block of vectors
constexpr double kRowsPerList = 39, kTrainPerList = 64;  // index/faiss_build.cc
constexpr double kTrainSteps = 10;
constexpr double kUsableMemory = 0.8;

double ListsOf(const IndexType& type, double rows) {
  return type.kind == IndexKind::kIvf ? std::clamp(rows / kRowsPerList, 1.0, static_cast<double>(type.lists)) : 0;
}

// Of a row in index.faiss, its id included.
double CodeBytes(const IndexType& type, double d) {
  if (type.kind == IndexKind::kFlat) return 0;
  if (type.kind == IndexKind::kHnsw) return 4 * d + 8 * type.links;
  const double code = type.code == "Flat" ? 4 * d : type.code == "SQ8" ? d : std::stod(type.code.substr(2));
  return code + kIdBytes;
}

// Of B queries on one node.
double RoundSeconds(const CorpusPlanSettings& s, const CorpusPlan& p, const IndexType& type, double row_bytes) {
  const double d = s.dim, memory = s.shard_memory_gbs * 1e9, disk = s.disk_gbs * 1e9;
  const double rate = p.in_memory ? memory : disk;
  double search = 0;
  if (type.kind == IndexKind::kFlat) {  // one product for all queries: bound by arithmetic or by reading all vectors
    search = std::max(2 * p.sequences * d * s.batch / (s.shard_gflops * 1e9), p.sequences * row_bytes / rate);
  } else if (type.kind == IndexKind::kIvf) {  // each query reads its own lists; a list comes from disk once a round
    const double lists = ListsOf(type, p.sequences) * d * 4, all = p.sequences * CodeBytes(type, d);
    search = s.batch * (lists + s.probed_share * all) / memory;
    if (!p.in_memory) search += std::min(1.0, s.batch * s.probed_share) * all / disk;
  } else {  // every point that is visited looks at its neighbours
    search = s.batch * (s.k + s.margin) * 2.0 * type.links * row_bytes / memory;
  }
  // A candidate's own block is read whole where it is not in memory; the K + margin of a query lie on all nodes.
  const double candidates = s.batch * (s.k + s.margin) / static_cast<double>(s.nodes);
  return search + candidates * (p.in_memory ? row_bytes : std::max(row_bytes, kCheckedBytes)) / rate;
}

}  // namespace

CorpusPlan PlanCorpus(const CorpusPlanSettings& s) {
  const IndexType type = IndexType::Parse(s.index, s.dim);
  const double d = s.dim;
  const double row_bytes = d * static_cast<double>(BytesOf(index::EmbeddingTypeFromName(s.embedding_dtype)));
  const double lists = ListsOf(type, s.corpus_sequences / s.nodes);
  CorpusPlan p;
  p.sequences = s.corpus_sequences / s.nodes;
  p.text_bytes = p.sequences * (s.sequence_bytes * s.text_ratio + kKeyBytes);
  p.token_bytes = p.sequences * s.sequence_tokens * s.token_bytes;
  // With Flat the store holds a second copy, which a damaged one is mended from.
  p.embedding_bytes = p.sequences * (row_bytes * (type.kind == IndexKind::kFlat ? 2 : 1) + kIdBytes);
  p.index_bytes = p.sequences * CodeBytes(type, d) + lists * d * 4;
  const double round_bytes = s.batch * static_cast<double>(s.k + s.margin) * (4 * d + 16);
  p.held_bytes = kBlockCacheBytes + round_bytes + lists * d * 4;
  if (type.kind == IndexKind::kHnsw) p.held_bytes += p.index_bytes;
  p.swept_bytes = p.sequences * kIdBytes;
  if (type.kind == IndexKind::kFlat) p.swept_bytes += p.sequences * row_bytes;
  if (type.kind == IndexKind::kIvf) p.swept_bytes += p.sequences * CodeBytes(type, d);
  p.in_memory = p.held_bytes + p.swept_bytes <= kUsableMemory * s.node_memory_gb * 1e9;

  p.ingest_s = p.sequences * s.sequence_bytes / (s.ingest_core_mbs * 1e6 * s.cores_per_node);
  p.embed_s = p.sequences / (s.embed_core_texts * s.cores_per_node);
  // k-means over the sample, then every row to its list.
  const double trained = std::min(p.sequences, kTrainPerList * lists) * kTrainSteps;
  p.index_s = (trained + p.sequences) * 2 * lists * d / (s.shard_gflops * 1e9);
  if (type.kind == IndexKind::kHnsw)  // one thread: each row is searched for among those before it
    p.index_s = p.sequences * 40 * 2.0 * type.links * row_bytes / (s.shard_memory_gbs * 1e9 / s.cores_per_node);
  p.round_s = RoundSeconds(s, p, type, row_bytes);
  return p;
}

std::string CorpusPlanTable(const CorpusPlanSettings& settings) {
  std::string table =
      "| sequences | nodes | disk of a node | memory: held, swept | build, embeddings given | embedding | a round |\n"
      "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n";
  for (const double sequences : {1e6, 1e8, 2.1e8}) {
    for (const int nodes : {1, 4, 16, 64}) {
      CorpusPlanSettings s = settings;
      s.corpus_sequences = sequences;
      s.nodes = nodes;
      const CorpusPlan p = PlanCorpus(s);
      table +=
          fmt::format("| {:.3g} | {} | {} | {}, {}{} | {} | {} | {} |\n", sequences, nodes, FormatBytes(p.disk_bytes()),
                      FormatBytes(p.held_bytes), FormatBytes(p.swept_bytes), p.in_memory ? "" : " (disk)",
                      FormatDuration(p.ingest_s + p.index_s), FormatDuration(p.embed_s),
                      p.round_s < 1 ? fmt::format("{:.3g} ms", 1e3 * p.round_s) : FormatDuration(p.round_s));
    }
  }
  return table;
}

}  // namespace hullft::coordinator
