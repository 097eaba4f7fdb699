#include "index/manifest.h"

#include <algorithm>

#include "common/error.h"
#include "common/files.h"
#include "common/hash.h"
#include "common/json_read.h"
#include "common/parallel.h"
#include "common/stays_inside.h"

namespace hullft::index {
namespace {
namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kPartitionFile = "manifest.json";
constexpr const char* kCorpusFile = "corpus.json";
constexpr const char* kBuildAgain = "build the index again with hullft index build";

std::string Canonical(const json& value) {
  return value.dump(1) + "\n";
}

void WriteChecked(const fs::path& path, json value) {
  value["format"] = kFormatVersion;
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
  WriteChecked(folder / kCorpusFile, {{"kind", "corpus"},
                                      {"partitions", info.partitions},
                                      {"dim", info.dim},
                                      {"sequences", info.sequences},
                                      {"text_bytes", info.text_bytes},
                                      {"tokens", info.tokens},
                                      {"encoder_digest", info.encoder_digest},
                                      {"tokenizer_digest", info.tokenizer_digest},
                                      {"digest", info.digest},
                                      {"embedding_type", EmbeddingTypeName(info.embedding_type)},
                                      {"index", info.index},
                                      {"recall", ToJson(info.recall)},
                                      {"parts", parts},
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
            {}};
    for (const json& part : value.at("parts")) info.parts.push_back(PartitionInfoFromJson(part));
    manifest.records = Field<int64_t>(value, "records");
    manifest.duplicates = Field<int64_t>(value, "duplicates");
    manifest.rejects = Field<int64_t>(value, "rejects");
    manifest.settings = value.at("settings");
    manifest.files = FilesFromJson(value.at("files"));
    return manifest;
  });
}

std::string FileFault(const fs::path& folder, const PartitionManifest& manifest) {
  for (const FileEntry& file : manifest.files) {
    std::error_code error;
    const auto bytes = fs::file_size(folder / file.path, error);
    if (error) return (folder / file.path).string() + " is missing";
    if (static_cast<int64_t>(bytes) != file.bytes)
      return fmt::format("{} has {} bytes instead of {}", (folder / file.path).string(), bytes, file.bytes);
  }
  return "";
}

const FileEntry& EntryOf(const PartitionManifest& manifest, const std::string& path) {
  const auto entry = std::ranges::find(manifest.files, path, &FileEntry::path);
  if (entry != manifest.files.end()) return *entry;
  throw Error(Code::kData, fmt::format("the manifest of partition {} does not list {}", manifest.info.number, path),
              kBuildAgain);
}

void CheckHash(const fs::path& file, const FileEntry& entry, const std::string& hash) {
  if (hash == entry.hash) return;
  throw Error(Code::kData, file.string() + " has another checksum than its manifest says",
              "the file or the way to it is damaged: hullft index verify on the corpus tells which. A node's copy "
              "(--stage) is made again once it is removed");
}

std::vector<FileEntry> HashFolder(const fs::path& folder, bool sync, int threads) {
  std::vector<FileEntry> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (sync && entry.is_directory()) FsyncFolder(entry.path());
    if (!entry.is_regular_file()) continue;
    files.push_back(
        {entry.path().lexically_relative(folder).generic_string(), static_cast<int64_t>(entry.file_size()), ""});
  }
  ParallelFor(static_cast<int64_t>(files.size()), threads, [&](int64_t i) {
    FileEntry& file = files[static_cast<size_t>(i)];
    if (sync) FsyncFile(folder / file.path);
    file.hash = HashFileHex(folder / file.path);
  });
  if (sync) FsyncFolder(folder);
  std::sort(files.begin(), files.end(), [](const FileEntry& a, const FileEntry& b) { return a.path < b.path; });
  return files;
}

}  // namespace hullft::index
