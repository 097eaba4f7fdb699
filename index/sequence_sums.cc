#include "index/sequence_sums.h"

#include "common/error.h"

namespace hullft::index {

SequenceSumsFile::SequenceSumsFile(const std::filesystem::path& path, int64_t rows) : file_(path) {
  if (file_.bytes().size() != static_cast<size_t>(rows) * sizeof(SequenceSums)) {
    throw DataError("{} has {} bytes, {} sequences need {}", path.string(), file_.bytes().size(), rows,
                    static_cast<size_t>(rows) * sizeof(SequenceSums));
  }
  sums_ = {reinterpret_cast<const SequenceSums*>(file_.bytes().data()), static_cast<size_t>(rows)};
}

}  // namespace hullft::index
