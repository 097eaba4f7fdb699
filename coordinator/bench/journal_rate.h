// How fast the journal makes rows durable.
#pragma once

#include <filesystem>

#include "coordinator/row.h"

namespace hullft::coordinator {

// A row of the size that HullFT with N = 20 writes.
Row TypicalRow(int64_t query);

// Durable rows a second with group commit, of `rows` rows appended as fast as they go; path is made and removed.
double JournalRowsPerSecond(const std::filesystem::path& path, int64_t rows);

}  // namespace hullft::coordinator
