#include "common/vector_check.h"

#include <cmath>

#include "common/error.h"
#include "common/log.h"

namespace hullft {

NormRange CheckVectors(std::span<const float> values, int64_t d, const std::string& path,
                       const std::function<std::string(int64_t row)>& place) {
  NormRange range;
  const auto width = static_cast<size_t>(d);
  for (size_t begin = 0; begin < values.size(); begin += width) {
    const auto x = values.subspan(begin, width);
    const auto row = static_cast<int64_t>(begin / width);
    double square = 0;
    for (const float value : x) square += static_cast<double>(value) * value;
    if (!std::isfinite(square)) {
      size_t column = 0;
      while (std::isfinite(x[column])) ++column;  // a float64 sum of squares of finite floats is finite
      throw Error(Code::kData,
                  fmt::format("{}: {} is not finite: column {} is {}", path, place(row), column, x[column]),
                  "make the embeddings again");
    }
    if (square == 0) {
      throw Error(Code::kData, fmt::format("{}: {} is all zeros: it has no direction", path, place(row)),
                  "make the embeddings again; an empty text has none");
    }
    const double norm = std::sqrt(square);
    if (norm < range.least) range.least = norm, range.least_row = row;
    if (norm > range.most) range.most = norm, range.most_row = row;
  }
  return range;
}

void WarnUnlessUnit(const NormRange& range, const std::string& path,
                    const std::function<std::string(int64_t row)>& place) {
  constexpr double kUnitTolerance = 1e-3;
  if (range.least_row < 0 || (range.least > 1 - kUnitTolerance && range.most < 1 + kUnitTolerance)) return;
  WarnOnce(
      "lengths of " + path,
      fmt::format("{}: lengths go from {:.4g} ({}) to {:.4g} ({}), not 1: nearness is by inner product, which prefers "
                  "long vectors",
                  path, range.least, place(range.least_row), range.most, place(range.most_row)));
}

}  // namespace hullft
