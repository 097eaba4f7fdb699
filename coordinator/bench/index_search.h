// An index that searches a part of the rows, beside the flat search. Part of `hullft bench index`.
#pragma once

#include <filesystem>
#include <string>

#include "common/figures.h"

namespace hullft::coordinator {

struct PartialSearchSettings {
  std::filesystem::path vectors;  // .npy
  std::filesystem::path index;    // written
  std::string type;
  int enlarge = 1;  // points for each row: itself, and others between it and its nearest
  int k = 200, threads = 1, repetitions = 5;
};

// At the least effort that finds 0.95 of the K nearest of 200 of the rows. Thread safety: one at a time.
void MeasurePartialSearch(const PartialSearchSettings& settings, Figures* figures);

}  // namespace hullft::coordinator
