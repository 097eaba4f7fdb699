#include "index/manifest.h"

#include "common/error.h"
#include "common/files.h"
#include "common/hash.h"
#include "common/json_read.h"
#include "common/stays_inside.h"

namespace hullft::index {
namespace {
namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kPartitionFile = "manifest.json";
constexpr const char* kCorpusFile = "corpus.json";
constexpr const char* kByteOrder = "little";  // of ids, tokens, vectors and sums; nothing converts them
constexpr const char* kBuildAgain = "build the index again with hullft index build";

std::string Canonical(const json& value) {
  return value.dump(1) + "\n";
}

void WriteChecked(const fs::path& path, json value) {
  value["format"] = kFormatVersion;
  value["byte_order"] = kByteOrder;
  value["checksum"] = HashHex(Canonical(value));
  WriteFileAtomic(path, Canonical(value));
}

json ReadChecked(const fs::path& path) {
  const std::string text = ReadFile(path);
  CheckJsonDepth(text, path.string());
  json value = json::parse(text, nullptr, false);
  const auto damaged = [&] {
    return Error(Code::kData, path.string() + " is damaged: its checksum does not match", kBuildAgain);
  };
  if (!value.is_object() || !value.contains("checksum") || !value.contains("format")) throw damaged();
  try {
    if (Canonical(value) != text) throw damaged();  // also catches changes that leave the values equal
    const json checksum = value["checksum"];
    value.erase("checksum");
    if (checksum != HashHex(Canonical(value))) throw damaged();
  } catch (const json::exception&) {  // e.g. a flipped byte that makes a string invalid UTF-8
    throw damaged();
  }
  const json& format = value["format"];
  if (!format.is_number_integer() || format < kOldestFormat || format > kFormatVersion) {
    throw Error(Code::kData,
                fmt::format("{} has format {}, this hullft reads formats {} to {}", path.string(), format.dump(),
                            kOldestFormat, kFormatVersion),
                kBuildAgain);
  }
  if (value.contains("byte_order") && value["byte_order"] != kByteOrder) {
    throw Error(Code::kData,
                fmt::format("{} says byte order {}, this hullft reads {} endian numbers only", path.string(),
                            value["byte_order"].dump(), kByteOrder),
                "hullft index export on the machine that made it, hullft index import here");
  }
  return value;
}

json ToJson(const std::vector<FileEntry>& files) {
  json list = json::array();
  for (const FileEntry& file : files) list.push_back({{"path", file.path}, {"bytes", file.bytes}, {"hash", file.hash}});
  return list;
}

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

template <class Function>
auto Translate(const fs::path& path, const Function& function) {
  try {
    return function();
  } catch (const json::exception& error) {
    throw Error(Code::kData, fmt::format("{}: {}", path.string(), error.what()), kBuildAgain);
  }
}

}  // namespace

fs::path PartitionFolder(const fs::path& corpus, int number) {
  return corpus / fmt::format("part-{:05}", number);
}

void WriteManifest(const fs::path& folder, const PartitionManifest& manifest) {
  WriteChecked(folder / kPartitionFile, {{"kind", "partition"},
                                         {"info", ToJson(manifest.info)},
                                         {"partitions", manifest.partitions},
                                         {"first_partition", manifest.first_partition},
                                         {"dim", manifest.dim},
                                         {"duplicates", manifest.duplicates},
                                         {"encoder_digest", manifest.encoder_digest},
                                         {"tokenizer_digest", manifest.tokenizer_digest},
                                         {"embedding_type", EmbeddingTypeName(manifest.embedding_type)},
                                         {"index", manifest.index},
                                         {"files", ToJson(manifest.files)}});
}

PartitionManifest ReadPartitionManifest(const fs::path& folder) {
  const fs::path path = folder / kPartitionFile;
  if (!fs::exists(path))
    throw Error(Code::kData, path.string() + " is missing: the partition is not finished", kBuildAgain);
  return Translate(path, [&] {
    const json value = ReadChecked(path);
    return PartitionManifest{Field<int>(value, "format"),
                             PartitionInfoFromJson(value.at("info")),
                             Field<int>(value, "partitions"),
                             Field<int>(value, "dim"),
                             value.contains("first_partition") ? Field<int>(value, "first_partition") : 0,
                             Field<int64_t>(value, "duplicates"),
                             value.at("encoder_digest"),
                             value.at("tokenizer_digest"),
                             EmbeddingTypeOf(value),
                             IndexOf(value),
                             FilesFromJson(value.at("files"))};
  });
}

void WriteManifest(const fs::path& folder, const CorpusManifest& manifest) {
  const CorpusInfo& info = manifest.info;
  json parts = json::array();
  for (const PartitionInfo& part : info.parts) parts.push_back(ToJson(part));
  json generations = json::array();
  for (const Generation& generation : info.generations) generations.push_back(ToJson(generation));
  WriteChecked(folder / kCorpusFile, {{"kind", "corpus"},
                                      {"partitions", info.partitions},
                                      {"dim", info.dim},
                                      {"sequences", info.sequences},
                                      {"text_bytes", info.text_bytes},
                                      {"tokens", info.tokens},
                                      {"encoder_digest", info.encoder_digest},
                                      {"encoder_use", ToJson(info.encoder_use)},
                                      {"tokenizer_digest", info.tokenizer_digest},
                                      {"digest", info.digest},
                                      {"embedding_type", EmbeddingTypeName(info.embedding_type)},
                                      {"index", info.index},
                                      {"recall", ToJson(info.recall)},
                                      {"parts", parts},
                                      {"generations", generations},
                                      {"records", manifest.records},
                                      {"duplicates", manifest.duplicates},
                                      {"rejects", manifest.rejects},
                                      {"settings", manifest.settings},
                                      {"files", ToJson(manifest.files)}});
}

CorpusManifest ReadCorpusManifest(const fs::path& folder) {
  const fs::path path = folder / kCorpusFile;
  if (!fs::exists(path)) {
    const bool building = fs::exists(folder.string() + ".building");
    throw Error(Code::kData, fmt::format("{} is not a finished corpus: {} is missing", folder.string(), kCorpusFile),
                building ? "its build was interrupted: run the same hullft index build again to finish it"
                         : "check the path, or make one with hullft index build");
  }
  return Translate(path, [&] {
    const json value = ReadChecked(path);
    CorpusManifest manifest;
    CorpusInfo& info = manifest.info;
    info = {folder,
            Field<int>(value, "partitions"),
            Field<int>(value, "dim"),
            Field<int64_t>(value, "sequences"),
            Field<int64_t>(value, "text_bytes"),
            Field<int64_t>(value, "tokens"),
            value.at("encoder_digest"),
            value.at("tokenizer_digest"),
            value.at("digest"),
            EmbeddingTypeOf(value),
            IndexOf(value),
            RecallOf(value),
            {},
            {},
            EncoderUseOf(value)};
    for (const json& part : value.at("parts")) info.parts.push_back(PartitionInfoFromJson(part));
    manifest.records = Field<int64_t>(value, "records");
    manifest.duplicates = Field<int64_t>(value, "duplicates");
    manifest.rejects = Field<int64_t>(value, "rejects");
    manifest.settings = value.at("settings");
    manifest.files = FilesFromJson(value.at("files"));
    info.generations = GenerationsOf(value, manifest);
    return manifest;
  });
}

}  // namespace hullft::index
