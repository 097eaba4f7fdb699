#include "index/build_folder.h"

#include <sys/stat.h>

#include "common/error.h"
#include "common/json_read.h"
#include "common/log.h"

namespace hullft::index {
namespace {
namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kSettingsFile = "settings.json";

fs::path WithSuffix(fs::path path, const char* suffix) {
  return path += suffix;
}

void Rename(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::rename(from, to, error);
  if (error)
    throw Error(Code::kIo, fmt::format("cannot rename {} to {}: {}", from.string(), to.string(), error.message()));
}

std::string Differences(const json& wanted, const json& found) {
  std::string differences;
  for (const auto& [key, value] : wanted.items()) {
    if (!found.is_object() || !found.contains(key) || found[key] != value)
      differences += (differences.empty() ? "" : ", ") + key;
  }
  return differences;
}

// Null, which differs from any settings, where the file is damaged.
json HeldSettings(const fs::path& file) {
  try {
    return ParseJson(ReadFile(file), file.string());
  } catch (const Error& error) {
    spdlog::warn("{}", error.message());
    return json();
  }
}

// The folders of partitions, finished or not, that carry the number `first` or a higher one.
std::vector<fs::path> PartitionFoldersFrom(const fs::path& folder, int first) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename();
    if (name.starts_with("part-") && std::atoi(name.c_str() + 5) >= first) found.push_back(entry.path());
  }
  return found;
}

}  // namespace

// The file goes with the lock.
struct BuildFolder::HeldLock {
  explicit HeldLock(fs::path p) : path(std::move(p)), held(path) {}
  ~HeldLock() {
    std::error_code ignored;  // ignored: a lock file that stays locks nobody out
    fs::remove(path, ignored);
  }
  fs::path path;
  FileLock held;
};

BuildFolder::BuildFolder(fs::path output) : output_(std::move(output)), building_(WithSuffix(output_, ".building")) {}
BuildFolder::~BuildFolder() = default;

std::string BuildFolder::settings_text() const {
  return ReadFile(building_ / kSettingsFile);
}

void BuildFolder::Lock(bool grows, bool force) {
  const bool finished = fs::exists(output_ / "corpus.json");
  if (grows) {
    if (!finished) ReadCorpusManifest(output_);  // says what is wrong
  } else if (fs::exists(output_) && !(finished && force)) {
    throw Error(
        Code::kUsage,
        fmt::format("{} {}", output_.string(), finished ? "holds a finished corpus" : "exists and is not a corpus"),
        finished ? "choose another --output, or --force to build it anew; hullft index add makes it grow"
                 : "choose another --output, or remove it");
  }
  if (output_.has_parent_path()) MakeFolders(output_.parent_path());
  lock_ = std::make_unique<HeldLock>(WithSuffix(output_, ".lock"));
}

void BuildFolder::Take(const json& identity, int first_partition, bool force) {
  first_partition_ = first_partition;
  const fs::path file = building_ / kSettingsFile;
  if (force) fs::remove_all(building_);
  if (!fs::exists(file)) {
    fs::remove_all(building_);
    RemoveStrays();
    MakeFolders(staging());
    taken_ = true;
    WriteFileAtomic(file, identity.dump(1) + "\n");
    return;
  }
  const std::string differences = Differences(identity, HeldSettings(file));
  if (!differences.empty()) {
    throw Error(
        Code::kUsage,
        fmt::format("{} holds an unfinished build with other settings ({} changed)", building_.string(), differences),
        "give the same settings to go on, or --force to start over");
  }
  taken_ = true;
  RecoverMoved();
  spdlog::info("going on with the unfinished build in {}", building_.string());
}

// A build that was killed between moving its partitions and writing the manifest takes them back.
void BuildFolder::RecoverMoved() {
  if (first_partition_ == 0) return;
  for (const fs::path& folder : PartitionFoldersFrom(output_, first_partition_)) {
    const fs::path home = building_ / folder.filename();
    if (!fs::exists(home)) Rename(folder, home);
  }
}

// What a build that was given up has moved already: no manifest names it.
void BuildFolder::RemoveStrays() {
  if (first_partition_ == 0) return;
  for (const fs::path& folder : PartitionFoldersFrom(output_, first_partition_)) fs::remove_all(folder);
}

bool BuildFolder::HoldsWork(int partitions, bool embeds) const {
  std::error_code ignored;  // ignored: what cannot be looked at holds nothing that could be used
  for (int p = 0; p < partitions; ++p) {
    if (fs::exists(PartitionFolder(building_, first_partition_ + p) / "manifest.json", ignored)) return true;
    const fs::path log = LogFile(building_, p);
    if (embeds && fs::exists(log, ignored) && fs::file_size(log, ignored) > 0) return true;
  }
  return false;
}

void BuildFolder::Remove() {
  std::error_code ignored;  // ignored: the next build removes what this cannot
  fs::remove_all(building_, ignored);
}

void BuildFolder::RemoveLeftOver(const json& identity) {
  const fs::path file = building_ / kSettingsFile;
  if (fs::exists(file) && Differences(identity, HeldSettings(file)).empty()) fs::remove_all(building_);
}

void BuildFolder::BecomeCorpus(const CorpusManifest& manifest, bool replace) {
  fs::remove_all(staging());
  fs::remove(building_ / kSettingsFile);
  WriteManifest(building_, manifest);
  if (replace) fs::remove_all(output_);
  Rename(building_, output_);
  FsyncFolder(output_.has_parent_path() ? output_.parent_path() : ".");
}

void BuildFolder::JoinCorpus(const CorpusManifest& manifest) {
  try {
    for (const fs::path& folder : PartitionFoldersFrom(building_, first_partition_))
      Rename(folder, output_ / folder.filename());
    FsyncFolder(output_);
    WriteManifest(output_, manifest);
  } catch (...) {
    // What has not become true is taken back: else it would not be seen to be worth keeping.
    if (ReadCorpusInfo(output_).partitions == first_partition_) RecoverMoved();
    throw;
  }
  fs::remove_all(building_);
}

json StampsOf(const std::vector<fs::path>& files) {
  json stamps = json::array();
  for (const fs::path& file : files) {
    struct stat info {};
    if (::stat(file.c_str(), &info) != 0) throw IoError("stat", file.string());
    stamps.push_back({file, info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec});
  }
  return stamps;
}

void CheckStamps(const json& stamps) {
  for (const json& stamp : stamps) {
    const fs::path file = stamp.at(0).get<std::string>();
    if (StampsOf({file}).at(0) == stamp) continue;
    throw Error(Code::kData, file.string() + " has changed while it was read",
                "wait until nothing writes to it, then start over (--force)");
  }
}

fs::path LogFile(const fs::path& building, int partition) {
  return building / "staging" / fmt::format("part-{:05}.embedded", partition);
}

}  // namespace hullft::index
