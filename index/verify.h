// Checks a finished corpus as a whole: every file's checksum, no file missing or unlisted, counts, and the store
// against the vector index, row by row.
#pragma once

#include <filesystem>

#include "index/corpus.h"

namespace hullft::index {

// Throws kData with every fault found (at most 20 are named, each with its file). threads 0: hullft::UsableCores().
CorpusInfo VerifyCorpus(const std::filesystem::path& folder, int threads, bool quiet);

}  // namespace hullft::index
