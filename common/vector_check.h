// Are these usable embeddings? One check for every file of vectors that comes from outside. Thread safety: free
// functions; a NormRange is one thread's.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <string>

namespace hullft {

// The shortest and the longest of some vectors, and where they are.
struct NormRange {
  double least = std::numeric_limits<double>::infinity(), most = 0;
  int64_t least_row = -1, most_row = -1;
};

// values: row-major [rows][d]. Throws kData for NaN, infinity and a vector of zeros, naming the row as `place` puts it
// ("pool row 3") and the column. path: of the file, named first.
NormRange CheckVectors(std::span<const float> values, int64_t d, const std::string& path,
                       const std::function<std::string(int64_t row)>& place);

// Warns, once for each path, of vectors whose length is not 1 (to 1e-3), with the range.
void WarnUnlessUnit(const NormRange& range, const std::string& path,
                    const std::function<std::string(int64_t row)>& place);

}  // namespace hullft
