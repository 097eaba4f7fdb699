#include "index/given_embeddings.h"

#include <algorithm>
#include <exception>
#include <vector>

#include "common/error.h"
#include "common/parallel.h"
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

void GivenEmbeddings::Check(int threads) const {
  constexpr int64_t kRows = 16 << 10;
  const int64_t blocks = (rows() + kRows - 1) / kRows;
  std::vector<NormRange> ranges(static_cast<size_t>(blocks));
  std::vector<std::exception_ptr> faults(ranges.size());
  ParallelFor(blocks, threads, [&](int64_t b) {
    const auto place = [&](int64_t row) { return fmt::format("row {} (from 0)", b * kRows + row); };
    const auto d = static_cast<size_t>(dim());
    const auto at = static_cast<size_t>(b);
    const auto count = static_cast<size_t>(std::min(kRows, rows() - b * kRows));
    try {
      ranges[at] = CheckVectors(file_.values().subspan(at * kRows * d, count * d), dim(), path_, place);
    } catch (...) {
      faults[at] = std::current_exception();  // the first one of the file is to be told, whoever is first to find one
    }
    if (b % 8 == 0) Release();
  });
  NormRange all;
  for (size_t b = 0; b < ranges.size(); ++b) {
    if (faults[b]) std::rethrow_exception(faults[b]);
    const int64_t first = static_cast<int64_t>(b) * kRows;
    if (ranges[b].least < all.least) all.least = ranges[b].least, all.least_row = first + ranges[b].least_row;
    if (ranges[b].most > all.most) all.most = ranges[b].most, all.most_row = first + ranges[b].most_row;
  }
  const auto place = [](int64_t row) { return fmt::format("row {} (from 0)", row); };
  WarnUnlessUnit(all, path_, place);
}

}  // namespace hullft::index
