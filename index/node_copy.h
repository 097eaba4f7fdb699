// Copies of partitions on a node's own disk (`--stage DIR`): made once per node, verified while they are copied, used
// by every later run on that node. A copy is at DIR/corpus-KEY/part-NNNNN, KEY = hash of the corpus's manifest, so that
// copies of different corpora, or of one that was built again, never meet; Partition::Open opens it there.
//
// A copy is made under another name and renamed when it is whole and durable: one that stands is whole. Processes of a
// node that want the same partition wait for each other. Thread safety: free functions.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "index/corpus.h"

namespace hullft::index {

// Where the copies of this corpus's partitions are below dir; Partition::Open takes it as a corpus.
std::filesystem::path NodeCopyFolder(const std::filesystem::path& corpus, const std::filesystem::path& dir);

// The partitions of which a whole copy stands in dir, ascending.
std::vector<int> StagedPartitions(const std::filesystem::path& corpus, const std::filesystem::path& dir);

struct StageProgress {
  std::function<void(int64_t bytes)> copied;  // more bytes were copied; may be empty
};

// Makes the copy of a partition unless it stands, and returns NodeCopyFolder. Throws kData for a file that is not what
// the manifest says, kIo for a full or unwritable disk; both name host, partition and file, and leave no partial copy.
std::filesystem::path StagePartition(const std::filesystem::path& corpus, int number, const std::filesystem::path& dir,
                                     const StageProgress& progress = {});

// What keeps partition `number` from being opened: a missing or damaged manifest, a missing file or one of another
// size; "" when nothing does. Contents are not read.
std::string PartitionFault(const std::filesystem::path& corpus, int number);

}  // namespace hullft::index
