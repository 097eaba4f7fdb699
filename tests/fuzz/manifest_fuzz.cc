// Manifests of a corpus and of a partition: as they are, and with the checksum that makes any JSON object pass as
// whole.
#include "common/hash.h"
#include "index/manifest.h"
#include "tests/fuzz/targets.h"

namespace hullft::fuzz {
namespace {

void RequireInside(const std::vector<index::FileEntry>& files) {
  for (const index::FileEntry& file : files) {
    const std::filesystem::path path(file.path);
    Require(!path.empty() && path.is_relative() && *path.lexically_normal().begin() != "..",
            "no path leaves the corpus");
    Require(file.bytes >= 0, "a file has a size");
  }
}

void Read(std::string_view text) {
  const auto folder = InFile("manifest.json", text).parent_path();
  InFile("corpus.json", text);
  Accepted([&] {
    const index::PartitionManifest manifest = index::ReadPartitionManifest(folder);
    RequireInside(manifest.files);
    Require(manifest.dim >= 1, "a vector has a width");
    index::FileFault(folder, manifest);
  });
  Accepted([&] {
    const index::CorpusManifest manifest = index::ReadCorpusManifest(folder);
    RequireInside(manifest.files);
    Require(manifest.info.dim >= 1, "a vector has a width");
    Require(std::cmp_equal(manifest.info.parts.size(), manifest.info.partitions), "every partition is told of");
  });
}

}  // namespace

void Manifest(std::string_view input) {
  Read(input);
  nlohmann::json value = nlohmann::json::parse(input, nullptr, false);
  if (!value.is_object()) return;
  value.erase("checksum");
  value["checksum"] = HashHex(value.dump(1) + "\n");
  Read(value.dump(1) + "\n");
}

}  // namespace hullft::fuzz
