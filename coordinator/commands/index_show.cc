#include "coordinator/commands/index_show.h"

#include <cstdio>

#include "common/error.h"
#include "common/progress.h"

namespace hullft::coordinator {
namespace {
using nlohmann::ordered_json;

ordered_json ToJson(const index::Recall& recall) {
  ordered_json curve = ordered_json::array();
  for (const index::RecallPoint& point : recall.curve)
    curve.push_back({{"effort", point.effort}, {"recall", point.recall}});
  return {{"k", recall.k},
          {"queries", recall.queries},
          {"target", recall.target},
          {"effort", recall.effort},
          {"curve", curve}};
}

ordered_json ToJson(const index::Generation& generation) {
  return {{"first_partition", generation.first_partition},
          {"partitions", generation.partitions},
          {"first_file", generation.first_file},
          {"files", generation.files},
          {"records", generation.records},
          {"duplicates", generation.duplicates},
          {"rejects", generation.rejects},
          {"index", generation.index}};
}

void PrintRecall(const index::CorpusInfo& info) {
  const index::IndexType type = index::IndexType::Parse(info.index, info.dim);
  fmt::print("index      {}\n", info.index);
  if (type.kind == index::IndexKind::kFlat) return;
  fmt::print("recall@{}  {} sequences looked up; searches use {} {} (asked for: {})\n", info.recall.k,
             info.recall.queries, type.EffortName(), info.recall.effort, info.recall.target);
  for (const index::RecallPoint& point : info.recall.curve)
    fmt::print("           {:>8} {:<5} {:.4f}\n", type.EffortName(), point.effort, point.recall);
}

// Nothing for the one of a corpus that has not grown.
void PrintGenerations(const index::CorpusInfo& info) {
  for (size_t g = 0; info.generations.size() > 1 && g < info.generations.size(); ++g) {
    const index::Generation& generation = info.generations[g];
    const int last = generation.first_partition + generation.partitions - 1;
    int64_t sequences = 0;
    for (int p = generation.first_partition; p <= last; ++p) sequences += info.parts[static_cast<size_t>(p)].sequences;
    fmt::print("{} {} sequences of {} records in partitions {} to {} ({})\n", g == 0 ? "grown     " : "          ",
               sequences, generation.records, generation.first_partition, last, generation.index);
  }
}

}  // namespace

void PrintJson(const ordered_json& value) {
  std::puts(value.dump(1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
}

ordered_json ToJson(const index::CorpusInfo& info) {
  ordered_json generations = ordered_json::array();
  for (const index::Generation& generation : info.generations) generations.push_back(ToJson(generation));
  ordered_json parts = ordered_json::array();
  for (const index::PartitionInfo& part : info.parts) {
    parts.push_back({{"number", part.number},
                     {"sequences", part.sequences},
                     {"text_bytes", part.text_bytes},
                     {"tokens", part.tokens},
                     {"disk_bytes", part.disk_bytes},
                     {"digest", part.digest}});
  }
  return {{"folder", info.folder.string()},
          {"digest", info.digest},
          {"partitions", info.partitions},
          {"dim", info.dim},
          {"embedding_dtype", index::EmbeddingTypeName(info.embedding_type)},
          {"index", info.index},
          {"recall", ToJson(info.recall)},
          {"sequences", info.sequences},
          {"text_bytes", info.text_bytes},
          {"tokens", info.tokens},
          {"encoder_digest", info.encoder_digest},
          {"prompt", info.encoder_use.prompt},
          {"long_texts", info.encoder_use.long_texts},
          {"parts", parts},
          {"generations", generations},
          {"tokenizer_digest", info.tokenizer_digest}};
}

void PrintInfo(const index::CorpusInfo& info) {
  int64_t disk_bytes = 0;
  for (const index::PartitionInfo& part : info.parts) disk_bytes += part.disk_bytes;
  fmt::print(
      "corpus     {}\nsequences  {} ({} of text, {} tokens) in {} partition{}\nwidth      {} ({})\ndisk       {}\n",
      info.folder.string(), info.sequences, FormatBytes(static_cast<double>(info.text_bytes)), info.tokens,
      info.partitions, info.partitions == 1 ? "" : "s", info.dim, index::EmbeddingTypeName(info.embedding_type),
      FormatBytes(static_cast<double>(disk_bytes)));
  PrintGenerations(info);
  PrintRecall(info);
  const index::EncoderUse& use = info.encoder_use;
  fmt::print("encoder    {}{}{}\ntokenizer  {}\ndigest     {}\n", info.encoder_digest,
             use.prompt.empty() ? "" : ", prompt '" + use.prompt + "'",
             use.long_texts == "cut" ? "" : ", long texts averaged", info.tokenizer_digest, info.digest);
}

}  // namespace hullft::coordinator
