// The parts of manifests as JSON and back (docs/formats/corpus.md). What is read throws kData or nlohmann's exceptions,
// which manifest.cc gives the file's name. Thread safety: free functions.
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "index/manifest.h"

namespace hullft::index {

inline constexpr const char* kBuildAgain = "build the index again with hullft index build";

nlohmann::json ToJson(const std::vector<FileEntry>& files);
std::vector<FileEntry> FilesFromJson(const nlohmann::json& list);
nlohmann::json ToJson(const PartitionInfo& info);
PartitionInfo PartitionInfoFromJson(const nlohmann::json& value);
nlohmann::json ToJson(const Recall& recall);
nlohmann::json ToJson(const Generation& generation);
nlohmann::json ToJson(const EncoderUse& use);

// Of a whole manifest: fields that older ones do not have.
EmbeddingType EmbeddingTypeOf(const nlohmann::json& manifest);
std::string IndexOf(const nlohmann::json& manifest);
Recall RecallOf(const nlohmann::json& manifest);
EncoderUse EncoderUseOf(const nlohmann::json& manifest);
// corpus: what else the manifest says.
std::vector<Generation> GenerationsOf(const nlohmann::json& manifest, const CorpusManifest& corpus);

}  // namespace hullft::index
