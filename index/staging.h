// First stage of a build: the input's records, dealt to partitions by the hash of their text and held in one file a
// partition until the partition is finished. Records may be added in any order (several ranks read the input): what a
// StagedPartition shows does not depend on it. Ids and rows count from their block (input_blocks.h) until a
// StagedPartition is opened.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/error.h"
#include "common/files.h"
#include "index/corpus.h"
#include "index/input_blocks.h"
#include "index/known_texts.h"

namespace hullft::index {

struct StagedSequence {
  SequenceId id;
  int64_t row = 0;  // place among all good records of the input: its row in given embeddings
  std::string_view text, metadata;
  std::string_view tokens = {};  // int32 each, at any alignment; none when they are still to be made
};

// What is staged of a record: its block, and what it has there.
inline StagedSequence ToStage(int64_t block, SequenceId id, int64_t row, std::string_view text,
                              std::string_view metadata, std::string_view tokens = {}) {
  return {id, static_cast<int64_t>(static_cast<uint64_t>(block) << kRecordBits) | row, text, metadata, tokens};
}

// The partition a text lives in: equal texts meet in the same one.
int PartitionOf(std::string_view text, int partitions);

std::filesystem::path StagedFile(const std::filesystem::path& folder, int partition);

// A sequence as it is staged, and as it travels to the rank that stages it. Read calls take for each of several.
void AppendStaged(const StagedSequence& sequence, std::string* to);
void ReadStaged(std::string_view bytes, const std::function<void(const StagedSequence&)>& take);

// The partitions that one of several ranks stages: those with number mod ranks = rank. Not thread-safe. Holds up to
// 256 KiB a partition and 64 MiB in all in memory.
class StageWriter {
 public:
  // Replaces files of an earlier, unfinished attempt.
  StageWriter(std::filesystem::path folder, int partitions, int rank = 0, int ranks = 1);
  // Throws kInternal for a sequence of a partition that is not this rank's.
  void Add(const StagedSequence& sequence);
  // Writes out what is in memory and makes all of it durable.
  void Finish();

 private:
  void Flush(int partition);
  const std::filesystem::path folder_;
  const int rank_, ranks_;
  std::vector<std::string> buffers_;  // of all partitions
};

// Two records of the input have this id.
Error SameId(SequenceId id);

struct StagedOptions {
  int64_t memory_budget = 0;          // bytes that sorting may take; 0: no limit
  const KnownTexts* known = nullptr;  // of the same corpus: left out
};

// The sequences of one partition in order of id, each text once: equal texts keep the lowest id. Thread-safe.
class StagedPartition {
 public:
  // bases: of the blocks that were staged, to make ids and rows final; they outlive the object. Throws kUsage when the
  // memory budget does not suffice, kData when two records have one id.
  StagedPartition(const std::filesystem::path& folder, int partition, int partitions, std::span<const BlockBase> bases,
                  const StagedOptions& options = {});
  int64_t size() const { return static_cast<int64_t>(offsets_.size()); }
  int64_t duplicates() const { return duplicates_; }
  // What was read so far need not stay in memory.
  void Release() const { file_.Release(0, file_.bytes().size()); }
  StagedSequence operator[](int64_t i) const { return At(offsets_[static_cast<size_t>(i)]); }

 private:
  struct Entry {
    uint64_t hash, id, offset;
  };
  std::vector<Entry> Entries(int partition, int64_t memory_budget) const;
  void LeaveOutKnown(int partition, int partitions, const KnownTexts& known, std::vector<Entry>* entries);
  StagedSequence At(uint64_t offset) const;
  MappedFile file_;
  std::span<const BlockBase> bases_;
  std::vector<uint64_t> offsets_;
  int64_t duplicates_ = 0;
};

}  // namespace hullft::index
