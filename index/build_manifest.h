// The manifest of a corpus whose partitions stand: of a new one, or of one that has grown by a generation.
#pragma once

#include <string>
#include <vector>

#include "index/build_embed.h"
#include "index/build_folder.h"
#include "index/build_plan.h"
#include "index/build_read.h"

namespace hullft::index {

struct BuiltFrom {
  const BuildSettings& settings;
  const BuildFunctions& functions;
  const BuildSources& sources;
  const BuildFolder& folder;
  int first_partition = 0;
  int64_t first_file = 0;
  std::string made_from;
  int threads = 1;
};

// Measures the recall of an index other than Flat, over all partitions. A corpus that has grown keeps its effort: else
// what its old generations answer would change.
CorpusManifest ManifestOf(const BuiltFrom& built, const ReadOutcome& read, const std::vector<FinishedPartition>& parts);

}  // namespace hullft::index
