#include "index/given_embeddings.h"

#include <cmath>

#include "common/error.h"
#include "common/log.h"

namespace hullft::index {
namespace {

constexpr double kUnitTolerance = 1e-3;  // of a vector's norm, before a warning

}  // namespace

GivenEmbeddings::GivenEmbeddings(const std::string& path, int dim_wanted) : path_(path), file_(path) {
  if (file_.shape().size() != 2 || file_.shape()[1] < 1) {
    throw DataError("{}: embeddings must have the shape [records][width], it has {} dimensions", path,
                    file_.shape().size());
  }
  if (dim_wanted != 0 && file_.shape()[1] != dim_wanted) {
    throw Error(Code::kData,
                fmt::format("{}: the embeddings are {} wide, the encoder's are {}", path, file_.shape()[1], dim_wanted),
                "give the encoder that made them, or none");
  }
}

std::span<const float> GivenEmbeddings::Row(int64_t r) const {
  const auto d = static_cast<size_t>(file_.shape()[1]);
  return file_.values().subspan(static_cast<size_t>(r) * d, d);
}

void GivenEmbeddings::Check() const {
  int64_t unusual = -1;
  for (int64_t r = 0; r < rows(); ++r) {
    double square = 0;
    for (const float x : Row(r)) square += static_cast<double>(x) * x;
    if (!std::isfinite(square)) {
      throw Error(Code::kData, fmt::format("{}: row {} (from 0) holds NaN or infinity", path_, r),
                  "make the embeddings again");
    }
    if (unusual < 0 && std::abs(std::sqrt(square) - 1) > kUnitTolerance) unusual = r;
  }
  if (unusual >= 0)
    spdlog::warn("{}: row {} does not have length 1: neighbours are ordered by inner product", path_, unusual);
}

}  // namespace hullft::index
