// Makes the files of a corpus that can be made from others again: ids, and with Flat the vectors, from the store; any
// other index from the vectors; the checksums of sequences from both.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace hullft::index {

// Returns the files that were made again. Throws kData, naming the file, for damage that nothing can mend: a manifest,
// a file of the store, the vectors of an index other than Flat, a corpus of format 1. What was damaged is replaced only
// by what has its checksum; an index may also come out otherwise (another processor): its manifests are then written
// anew. threads 0: hullft::UsableCores().
std::vector<std::string> RepairCorpus(const std::filesystem::path& folder, int threads);

}  // namespace hullft::index
