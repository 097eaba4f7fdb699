#include "index/manifest.h"

#include <utility>

#include "common/error.h"
#include "common/files.h"
#include "common/hash.h"
#include "common/json_read.h"
#include "index/manifest_json.h"

namespace hullft::index {
namespace {
namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kPartitionFile = "manifest.json";
constexpr const char* kCorpusFile = "corpus.json";
constexpr const char* kByteOrder = "little";  // of ids, tokens, vectors and sums; nothing converts them

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

template <class Function>
auto Translate(const fs::path& path, const Function& function) {
  try {
    return function();
  } catch (const json::exception& error) {
    throw Error(Code::kData, fmt::format("{}: {}", path.string(), error.what()), kBuildAgain);
  }
}

// What a corpus of any size has. Sizes are divided by the width, and parts are looked up by their number.
int DimOf(const json& manifest) {
  constexpr int kMost = 1 << 20;
  const auto dim = Field<int>(manifest, "dim");
  if (dim < 1 || dim > kMost) throw DataError("a manifest says dim {}, not from 1 to {}", dim, kMost);
  return dim;
}

void CheckParts(const CorpusInfo& info) {
  bool whole = info.partitions >= 1 && std::cmp_equal(info.parts.size(), info.partitions) && info.sequences >= 0;
  for (const PartitionInfo& part : info.parts)
    whole = whole && part.number >= 0 && part.number < info.partitions && part.sequences >= 0;
  if (!whole)
    throw Error(Code::kData, fmt::format("{}: its parts are not {} partitions", info.folder.string(), info.partitions),
                kBuildAgain);
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
                             DimOf(value),
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
            DimOf(value),
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
    CheckParts(info);
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
