#include "index/manifest_json.h"

#include "common/error.h"
#include "common/json_read.h"
#include "common/stays_inside.h"

namespace hullft::index {
namespace {
using nlohmann::json;

// A manifest names files of its own folder only: what copies or removes them must never leave it.
FileEntry FileEntryFromJson(const json& file) {
  FileEntry entry{file.at("path"), Field<int64_t>(file, "bytes"), file.at("hash")};
  if (entry.path.empty() || !StaysInside(entry.path) || entry.bytes < 0) {
    throw Error(
        Code::kData,
        fmt::format("a manifest lists '{}' with {} bytes, which is no file of its folder", entry.path, entry.bytes),
        kBuildAgain);
  }
  return entry;
}

Generation GenerationFromJson(const json& value) {
  return {Field<int>(value, "first_partition"),
          Field<int>(value, "partitions"),
          Field<int64_t>(value, "first_file"),
          Field<int64_t>(value, "files"),
          Field<int64_t>(value, "records"),
          Field<int64_t>(value, "duplicates"),
          Field<int64_t>(value, "rejects"),
          value.at("index"),
          value.at("made_from")};
}

}  // namespace

json ToJson(const std::vector<FileEntry>& files) {
  json list = json::array();
  for (const FileEntry& file : files) list.push_back({{"path", file.path}, {"bytes", file.bytes}, {"hash", file.hash}});
  return list;
}

std::vector<FileEntry> FilesFromJson(const json& list) {
  std::vector<FileEntry> files;
  for (const json& file : list) files.push_back(FileEntryFromJson(file));
  return files;
}

json ToJson(const PartitionInfo& info) {
  return {{"number", info.number}, {"sequences", info.sequences},   {"text_bytes", info.text_bytes},
          {"tokens", info.tokens}, {"disk_bytes", info.disk_bytes}, {"digest", info.digest}};
}

PartitionInfo PartitionInfoFromJson(const json& value) {
  return {Field<int>(value, "number"),     Field<int64_t>(value, "sequences"),  Field<int64_t>(value, "text_bytes"),
          Field<int64_t>(value, "tokens"), Field<int64_t>(value, "disk_bytes"), value.at("digest")};
}

// Format 1 knows float32 only.
EmbeddingType EmbeddingTypeOf(const json& manifest) {
  return manifest.at("format") == 1 ? EmbeddingType::kF32
                                    : EmbeddingTypeFromName(manifest.at("embedding_type").get<std::string>());
}

// Corpora built before there was a choice say nothing.
std::string IndexOf(const json& manifest) {
  return manifest.contains("index") ? manifest.at("index").get<std::string>() : "Flat";
}

json ToJson(const Recall& recall) {
  json curve = json::array();
  for (const RecallPoint& point : recall.curve) curve.push_back({point.effort, point.recall});
  return {{"k", recall.k},
          {"queries", recall.queries},
          {"target", recall.target},
          {"effort", recall.effort},
          {"curve", std::move(curve)}};
}

Recall RecallOf(const json& manifest) {
  if (!manifest.contains("recall")) return {};
  const json& value = manifest.at("recall");
  Recall recall{
      Field<int>(value, "k"), Field<int>(value, "queries"), value.at("target"), Field<int>(value, "effort"), {}};
  for (const json& point : value.at("curve")) recall.curve.push_back({point.at(0), point.at(1)});
  return recall;
}

json ToJson(const Generation& generation) {
  return {{"first_partition", generation.first_partition},
          {"partitions", generation.partitions},
          {"first_file", generation.first_file},
          {"files", generation.files},
          {"records", generation.records},
          {"duplicates", generation.duplicates},
          {"rejects", generation.rejects},
          {"index", generation.index},
          {"made_from", generation.made_from}};
}

// Corpora from before there were generations are one.
std::vector<Generation> GenerationsOf(const json& manifest, const CorpusManifest& corpus) {
  const CorpusInfo& info = corpus.info;
  if (!manifest.contains("generations"))
    return {{0, info.partitions, 0, -1, corpus.records, corpus.duplicates, corpus.rejects, info.index, ""}};
  std::vector<Generation> generations;
  int partitions = 0;
  for (const json& value : manifest.at("generations")) {
    generations.push_back(GenerationFromJson(value));
    const Generation& g = generations.back();
    if (g.first_partition != partitions || g.partitions < 1 || g.partitions > info.partitions - partitions)
      throw DataError("{}: generation {} does not follow the one before", info.folder.string(), generations.size() - 1);
    partitions += g.partitions;
  }
  if (partitions != info.partitions || generations.empty())
    throw DataError("{}: the generations are not all of its partitions", info.folder.string());
  return generations;
}

json ToJson(const EncoderUse& use) {
  return {{"prompt", use.prompt}, {"long_texts", use.long_texts}, {"space", use.space}};
}

// Corpora from before there was a choice say nothing.
EncoderUse EncoderUseOf(const json& manifest) {
  if (!manifest.contains("encoder_use")) return {};
  const json& value = manifest.at("encoder_use");
  return {value.at("prompt"), value.at("long_texts"), value.at("space")};
}

}  // namespace hullft::index
