// What manifests say of files, against the files.
#include <algorithm>

#include "common/error.h"
#include "common/files.h"
#include "common/hash.h"
#include "common/parallel.h"
#include "index/manifest.h"

namespace hullft::index {
namespace fs = std::filesystem;

void CheckBelongs(const fs::path& corpus, int number) {
  const fs::path folder = PartitionFolder(corpus, number), file = folder / "manifest.json";
  if (!fs::exists(corpus / "corpus.json")) return;
  for (const FileEntry& entry : ReadCorpusManifest(corpus).files) {
    if (corpus / entry.path != file) continue;
    if (HashFileHex(file) == entry.hash) return;
    throw Error(Code::kData, folder.string() + " is not the partition that this corpus was built with",
                "it was swapped or built again: copy it again from a good corpus");
  }
  throw DataError("{} is not listed in {}", folder.string(), (corpus / "corpus.json").string());
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
              "build the index again with hullft index build");
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
