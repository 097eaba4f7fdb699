#include "index/node_copy.h"

#include <chrono>
#include <memory>
#include <thread>

#include "common/comm/launch.h"
#include "common/error.h"
#include "common/files.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/progress.h"
#include "index/byte_source.h"
#include "index/manifest.h"

namespace hullft::index {
namespace {
namespace fs = std::filesystem;

constexpr size_t kPieceBytes = 4 << 20;
constexpr std::chrono::milliseconds kLockLook{200};
constexpr std::chrono::hours kLockWait{2};  // longer than any partition takes

// Waits for the other process that holds the lock.
std::unique_ptr<FileLock> WaitForLock(const fs::path& file, const std::string& what) {
  const auto start = std::chrono::steady_clock::now();
  for (bool said = false;; std::this_thread::sleep_for(kLockLook)) {
    try {
      return std::make_unique<FileLock>(file);
    } catch (const Error& error) {
      if (error.code() != Code::kUsage || std::chrono::steady_clock::now() - start > kLockWait) throw;
    }
    if (!said) spdlog::info("{}: waiting for the process that copies it", what);
    said = true;
  }
}

bool Stands(const fs::path& copy, const std::string& manifest) {
  return fs::exists(copy / "manifest.json") && ReadFile(copy / "manifest.json") == manifest;
}

// Copies and hashes at once: each byte is read once.
void CopyFile(const fs::path& from, const fs::path& to, const FileEntry& entry, const StageProgress& progress) {
  MakeFolders(to.parent_path());
  const auto source = ByteSource::OpenAsIs(from);
  AppendFile target(to);
  Hasher hash;
  std::vector<char> buffer(kPieceBytes);
  int64_t bytes = 0;
  while (const size_t n = source->Read(buffer)) {
    const std::string_view piece(buffer.data(), n);
    hash.UpdateRaw(piece);
    target.Append(piece);
    bytes += static_cast<int64_t>(n);
    if (progress.copied) progress.copied(static_cast<int64_t>(n));
  }
  target.Sync();
  if (bytes != entry.bytes) throw DataError("{} has {} bytes, its manifest says {}", from.string(), bytes, entry.bytes);
  CheckHash(from, entry, hash.Hex());
}

void CheckSpace(const fs::path& dir, const PartitionManifest& manifest) {
  int64_t wanted = 0;
  for (const FileEntry& file : manifest.files) wanted += file.bytes;
  std::error_code unknown;
  const fs::space_info space = fs::space(dir, unknown);
  if (!unknown && static_cast<int64_t>(space.available) < wanted) {
    throw Error(
        Code::kIo,
        fmt::format("{} has {} left, the copy takes {}", dir.string(),
                    FormatBytes(static_cast<double>(space.available)), FormatBytes(static_cast<double>(wanted))),
        "free some space there, choose another --stage, or use more nodes");
  }
}

void MakeCopy(const fs::path& source, const fs::path& copy, const std::string& manifest_text,
              const StageProgress& progress) {
  const PartitionManifest manifest = ReadPartitionManifest(source);
  const fs::path partial = copy.string() + ".copying";
  fs::remove_all(partial);  // of a run that was killed
  try {
    CheckSpace(copy.parent_path(), manifest);
    MakeFolders(partial);
    for (const FileEntry& file : manifest.files) CopyFile(source / file.path, partial / file.path, file, progress);
    WriteFileAtomic(partial / "manifest.json", manifest_text);
    for (const auto& entry : fs::recursive_directory_iterator(partial))
      if (entry.is_directory()) FsyncFolder(entry.path());
    FsyncFolder(partial);
    fs::remove_all(copy);
    fs::rename(partial, copy);
    FsyncFolder(copy.parent_path());
  } catch (...) {
    std::error_code ignored;  // ignored: the next copy removes what this cannot
    fs::remove_all(partial, ignored);
    throw;
  }
}

}  // namespace

fs::path NodeCopyFolder(const fs::path& corpus, const fs::path& dir) {
  const fs::path manifest = corpus / "corpus.json";
  if (!fs::exists(manifest)) ReadCorpusManifest(corpus);  // says what is wrong
  return dir / ("corpus-" + HashFileHex(manifest).substr(0, 16));
}

std::vector<int> StagedPartitions(const fs::path& corpus, const fs::path& dir) {
  const CorpusInfo info = ReadCorpusInfo(corpus);
  const fs::path folder = NodeCopyFolder(corpus, dir);
  std::vector<int> staged;
  for (int p = 0; p < info.partitions; ++p) {
    if (fs::exists(PartitionFolder(folder, p) / "manifest.json")) staged.push_back(p);
  }
  return staged;
}

fs::path StagePartition(const fs::path& corpus, int number, const fs::path& dir, const StageProgress& progress) {
  const std::string what = fmt::format("partition {} on {}", number, comm::HostName());
  try {
    fs::path folder = NodeCopyFolder(corpus, dir);
    const fs::path source = PartitionFolder(corpus, number), copy = PartitionFolder(folder, number);
    MakeFolders(folder);
    const auto lock = WaitForLock(copy.string() + ".lock", what);
    ReadPartitionManifest(source);  // says what is wrong with it
    const std::string manifest = ReadFile(source / "manifest.json");
    if (Stands(copy, manifest) && PartitionFault(folder, number).empty()) return folder;
    MakeCopy(source, copy, manifest, progress);
    return folder;
  } catch (const Error& error) {
    throw Error(error.code(), fmt::format("{}: {}", what, error.message()), error.hint(), error.where());
  } catch (const fs::filesystem_error& error) {
    throw Error(Code::kIo, fmt::format("{}: {}", what, error.what()));
  }
}

std::string PartitionFault(const fs::path& corpus, int number) try {
  const fs::path folder = PartitionFolder(corpus, number);
  return FileFault(folder, ReadPartitionManifest(folder));
} catch (const Error& error) {
  return error.message();
}

}  // namespace hullft::index
