// First stage of a build: the input's records, dealt to partitions by the hash of their text and held in one file a
// partition until the partition is finished. Records may be added in any order (several ranks may read the input): what
// a StagedPartition shows does not depend on it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/files.h"
#include "index/corpus.h"

namespace hullft::index {

struct StagedSequence {
  SequenceId id;
  int64_t row = 0;  // place among all good records of the input: its row in given embeddings
  std::string_view text, metadata;
};

// The partition a text lives in: equal texts meet in the same one.
int PartitionOf(std::string_view text, int partitions);

std::filesystem::path StagedFile(const std::filesystem::path& folder, int partition);

// Not thread-safe. Holds up to 256 KiB a partition in memory.
class StageWriter {
 public:
  // Replaces files of an earlier, unfinished attempt.
  StageWriter(std::filesystem::path folder, int partitions);
  void Add(const StagedSequence& sequence);
  // Writes out what is in memory and makes all of it durable.
  void Finish();

 private:
  void Flush(int partition);
  const std::filesystem::path folder_;
  std::vector<std::string> buffers_;
};

// The sequences of one partition in order of id, each text once: equal texts keep the lowest id. Thread-safe.
class StagedPartition {
 public:
  StagedPartition(const std::filesystem::path& folder, int partition);
  int64_t size() const { return static_cast<int64_t>(offsets_.size()); }
  int64_t duplicates() const { return duplicates_; }
  StagedSequence operator[](int64_t i) const { return At(offsets_[static_cast<size_t>(i)]); }

 private:
  StagedSequence At(uint64_t offset) const;
  MappedFile file_;
  std::vector<uint64_t> offsets_;
  int64_t duplicates_ = 0;
};

}  // namespace hullft::index
