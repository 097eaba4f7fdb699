// Reading mapped files ahead of their use. Thread safety: free functions.
#pragma once

#include <cstddef>
#include <span>

namespace hullft::index {

// Begins to read a part of a mapped file, without waiting for it, unless it is in memory. A hint: does nothing where
// the system does not tell or take it.
void ReadAhead(std::span<const std::byte> mapped);

// Of many small parts: nothing is done when a few of them, spread over all, are in memory, because asking for each
// takes longer than a search that finds them there.
void ReadAheadAll(std::span<const std::span<const std::byte>> parts);

}  // namespace hullft::index
