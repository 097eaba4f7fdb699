#include "index/build_manifest.h"

#include <numeric>

#include "common/log.h"
#include "index/content_digest.h"
#include "index/corpus_blocks.h"
#include "index/id_merge.h"
#include "index/partition_files.h"
#include "index/staging.h"

namespace hullft::index {
namespace {
namespace fs = std::filesystem;

// An empty one, or that of the corpus that grows.
CorpusManifest StartOf(const BuiltFrom& built) {
  if (built.sources.base) return *built.sources.base;
  CorpusManifest manifest;
  CorpusInfo& info = manifest.info;
  info.folder = built.folder.output();
  info.dim = built.functions.embed.dim;
  info.encoder_digest = built.functions.embed.digest;
  info.encoder_use = built.functions.embed.use;
  info.tokenizer_digest = built.functions.tokenize.digest;
  info.embedding_type = built.settings.embedding_type;
  info.index = built.settings.index;
  manifest.settings = {{"inputs", built.settings.inputs},
                       {"corpora", built.settings.corpora},
                       {"chunk_bytes", built.settings.chunk_bytes},
                       {"max_line_bytes", built.settings.max_line_bytes},
                       {"embeddings_given", !built.settings.embeds()}};
  return manifest;
}

void AddParts(const BuiltFrom& built, const std::vector<FinishedPartition>& parts, CorpusManifest* manifest) {
  CorpusInfo& info = manifest->info;
  for (const FinishedPartition& part : parts) {
    info.sequences += part.sequences;
    info.text_bytes += part.text_bytes;
    info.tokens += part.tokens;
    info.parts.push_back({part.number, part.sequences, part.text_bytes, part.tokens, part.disk_bytes, part.digest});
    const fs::path file = PartitionFolder(built.folder.path(), part.number) / "manifest.json";
    manifest->files.push_back(
        {file.lexically_relative(built.folder.path()).generic_string(), part.manifest_bytes, part.manifest_hash});
  }
  info.partitions = static_cast<int>(info.parts.size());
  ContentDigest content;
  for (const PartitionInfo& part : info.parts) content.Add(ContentDigest::FromHex(part.digest));
  info.digest = CorpusDigest(content, info);
}

// The number of input files, which the next generation's files are numbered after. Where records bring their ids,
// the ids say it.
int64_t FilesOf(const BuiltFrom& built, const CorpusInfo& info) {
  if (!built.sources.corpora.empty())
    return FileOffsets(built.sources.corpora).back() + NextFileNumber(built.sources.corpora.back());
  if (!built.settings.keep_ids) return static_cast<int64_t>(built.sources.inputs.size());
  CorpusInfo unknown = info;
  unknown.folder = built.folder.path();
  unknown.generations = {{}};
  return NextFileNumber(unknown);
}

Generation GenerationOf(const BuiltFrom& built, const ReadOutcome& read, const std::vector<FinishedPartition>& parts,
                        const CorpusInfo& info) {
  Generation generation;
  generation.first_partition = built.first_partition;
  generation.partitions = static_cast<int>(parts.size());
  generation.first_file = built.first_file;
  generation.files = FilesOf(built, info);
  generation.records = read.records;
  generation.rejects = read.rejects;
  for (const FinishedPartition& part : parts) generation.duplicates += part.duplicates;
  // A corpus made of others stands for all that they were made of.
  for (const CorpusInfo& corpus : built.sources.corpora) {
    for (const Generation& source : corpus.generations) {
      generation.records += source.duplicates;
      generation.duplicates += source.duplicates;
      generation.rejects += source.rejects;
    }
  }
  generation.index = built.settings.index;
  generation.made_from = built.made_from;
  return generation;
}

// Within a partition it was seen when that was opened.
void CheckIdsAreUnique(const BuiltFrom& built, const CorpusInfo& info) {
  std::vector<MappedFile> files;
  std::vector<std::span<const SequenceId>> lists;
  for (const PartitionInfo& part : info.parts) {
    const auto bytes = files.emplace_back(PartitionFolder(built.folder.path(), part.number) / kIdsFile).bytes();
    lists.emplace_back(reinterpret_cast<const SequenceId*>(bytes.data()), bytes.size() / sizeof(SequenceId));
  }
  IdMerge merge(std::move(lists));
  std::optional<IdMerge::Place> last;
  while (const auto place = merge.Next()) {
    if (last && last->id == place->id) throw SameId(place->id);
    last = place;
  }
}

Recall MeasuredRecall(const BuiltFrom& built, const CorpusInfo& info) {
  const IndexType type = IndexType::Parse(info.index, info.dim);
  if (type.kind == IndexKind::kFlat) return {};
  std::vector<std::unique_ptr<Partition>> partitions;
  for (int p = 0; p < info.partitions; ++p)
    partitions.push_back(Partition::Open(p < built.first_partition ? info.folder : built.folder.path(), p));
  RecallSettings settings{
      .k = built.settings.recall_k, .target = built.settings.target_recall, .threads = built.threads};
  if (built.sources.base)
    settings.k = info.recall.k, settings.target = info.recall.target, settings.effort = info.recall.effort;
  Recall recall = MeasureRecall(partitions, type, settings);
  const double reached = recall.Of(recall.effort);
  if (reached < recall.target) {
    spdlog::warn("recall@{} of {} ends at {:.4f}, below --target-recall {}", recall.k, type.name, reached,
                 recall.target);
  }
  return recall;
}

}  // namespace

CorpusManifest ManifestOf(const BuiltFrom& built, const ReadOutcome& read,
                          const std::vector<FinishedPartition>& parts) {
  CorpusManifest manifest = StartOf(built);
  CorpusInfo& info = manifest.info;
  AddParts(built, parts, &manifest);
  if (built.settings.keep_ids) CheckIdsAreUnique(built, info);
  const Generation generation = GenerationOf(built, read, parts, info);
  manifest.records += generation.records;
  manifest.duplicates += generation.duplicates;
  manifest.rejects += generation.rejects;
  info.generations.push_back(generation);
  info.recall = MeasuredRecall(built, info);
  return manifest;
}

}  // namespace hullft::index
