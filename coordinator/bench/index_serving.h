// How a built corpus serves: its size on disk, opening it, searching all of it, fetching what was found. Parts of
// `hullft bench index`. Thread safety: one at a time.
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "common/figures.h"
#include "coordinator/bench/synthetic_corpus.h"

namespace hullft::coordinator {

struct ServingSettings {
  std::filesystem::path corpus;
  int partitions = 1, k = 200, threads = 1, repetitions = 5;
};

// Beside what the same texts and tokens come to when each is compressed as one stream. model: of the tokenizer.
void MeasureDisk(const ServingSettings& settings, const SyntheticCorpus& input, const std::string& model,
                 Figures* figures);
// With the files in memory and, as far as the system lets go of them, not.
void MeasureOpening(const ServingSettings& settings, Figures* figures);
// 64 queries at once beside one product of that shape, and one query beside reading the same bytes; in turns. Holds
// the corpus's vectors a second time. queries: 64 vectors.
void MeasureFlatSearch(const ServingSettings& settings, std::span<const float> queries, Figures* figures);
// Embeddings and texts of the K candidates of one query.
void MeasureFetching(const ServingSettings& settings, std::span<const float> query, Figures* figures);

}  // namespace hullft::coordinator
