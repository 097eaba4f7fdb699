// The working folder of a build, OUTPUT.building, and the lock beside it, OUTPUT.lock. What is made there becomes
// OUTPUT, or joins the corpus that is OUTPUT, in one step: the rename of a folder, or of a manifest. On rank 0 alone.
#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/files.h"
#include "index/manifest.h"

namespace hullft::index {

class BuildFolder {
 public:
  explicit BuildFolder(std::filesystem::path output);
  ~BuildFolder();
  const std::filesystem::path& output() const { return output_; }
  const std::filesystem::path& path() const { return building_; }
  std::filesystem::path staging() const { return building_ / "staging"; }
  std::string settings_text() const;  // what every rank must see in the folder

  // Keeps other builds away while this object lives. Throws kUsage, naming the process that is at work there, and for
  // an output that exists; with force it may be a finished corpus, with grows it must be one.
  void Lock(bool grows, bool force);
  // Makes the folder, or takes it up where an unfinished build with the same identity has left it. Throws kUsage for
  // another identity, naming what differs. first_partition: of the build; > 0: the output grows. force: start over.
  void Take(const nlohmann::json& identity, int first_partition, bool force);
  bool taken() const { return taken_; }
  // True when finished partitions or computed embeddings would be lost with the folder.
  bool HoldsWork(int partitions, bool embeds) const;
  void Remove();
  // Removes what a build with this identity has left after its last step.
  void RemoveLeftOver(const nlohmann::json& identity);

  // The last step: the folder becomes the corpus. replace: of a finished one.
  void BecomeCorpus(const CorpusManifest& manifest, bool replace);
  // The last step of a corpus that grows: its partitions move there, then its manifest, which makes them true.
  void JoinCorpus(const CorpusManifest& manifest);

 private:
  void RecoverMoved();
  void RemoveStrays();
  const std::filesystem::path output_, building_;
  int first_partition_ = 0;
  bool taken_ = false;
  struct HeldLock;
  std::unique_ptr<HeldLock> lock_;
};

// What identifies input files while they are read: path, size and time of the last change. Throws kIo.
nlohmann::json StampsOf(const std::vector<std::filesystem::path>& files);
// Throws kData, naming the file, unless the files are as they were.
void CheckStamps(const nlohmann::json& stamps);

// The log of a partition's tokens and embeddings; partitions are numbered from the build's first.
std::filesystem::path LogFile(const std::filesystem::path& building, int partition);

}  // namespace hullft::index
