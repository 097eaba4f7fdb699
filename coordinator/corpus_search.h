// How the shards of a run search its corpus: the type of the index, the effort, and what they were measured to find.
// Stated by every run, because it decides which sequences can be chosen (docs/formats/corpus.md, "Index").
// Thread safety: free functions.
#pragma once

#include <string>

#include "coordinator/settings.h"
#include "index/corpus.h"

namespace hullft::coordinator {

// nprobe or efSearch of a run: what was asked for, or else what the measurement of the build chose. Flat: 0.
int SearchEffort(const RunSettings& settings, const index::CorpusInfo& corpus);

// One line for a run's header and provenance: "IVF1024,SQ8, nprobe 32: recall@200 0.9712, measured ...".
std::string SearchText(const RunSettings& settings, const index::CorpusInfo& corpus);

// What makes two searches of one corpus find the same: part of the run's identity. "": every search is exact.
std::string SearchIdentity(const RunSettings& settings, const index::CorpusInfo& corpus);

}  // namespace hullft::coordinator
