// A corpus as files that anything can read: JSONL of {"id", "text", "meta"} and a .npy of the embeddings, row i that of
// line i, by rising id. Read back with their ids and the same tokenizer, they give the same content digest.
#pragma once

#include <filesystem>

#include "index/corpus.h"

namespace hullft::index {

struct ExportSettings {
  std::filesystem::path corpus;
  std::filesystem::path jsonl, npy;  // must not exist
  bool quiet = false;                // no progress
};

// The same files whatever the partitions and generations. Neither stands before both are whole: what fails leaves none.
// Throws kUsage for a file that exists, kData for a damaged corpus, kIo. Returns what was exported.
CorpusInfo ExportCorpus(const ExportSettings& settings);

}  // namespace hullft::index
