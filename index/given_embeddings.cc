#include "index/given_embeddings.h"

#include "common/error.h"
#include "common/vector_check.h"

namespace hullft::index {
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
  const auto place = [](int64_t row) { return fmt::format("row {} (from 0)", row); };
  WarnUnlessUnit(CheckVectors(file_.values(), file_.shape()[1], path_, place), path_, place);
}

}  // namespace hullft::index
