// Flat index files of FAISS: as they are, and as an inner-product index (with the ids of an IndexIDMap) of the rows
// that the bytes make.
#include "index/faiss_flat_file.h"
#include "tests/fuzz/targets.h"

namespace hullft::fuzz {
namespace {

void Read(std::string_view bytes) {
  const auto path = InFile("x.faiss", bytes);
  index::FaissFlatFile::Is(path);
  Accepted([&] {
    const index::FaissFlatFile file(path);
    Require(file.ids().empty() || static_cast<int64_t>(file.ids().size()) == file.rows(), "an id for each row");
    Require(static_cast<uint64_t>(file.rows()) <= bytes.size() / sizeof(float), "no more rows than bytes");
    std::vector<float> row(static_cast<size_t>(file.rows() > 0 ? file.dim() : 0));
    for (int64_t r = 0; r < file.rows(); ++r) file.Read(r, row);
  });
}

template <class T>
void Append(T value, std::string* to) {
  to->append(reinterpret_cast<const char*>(&value), sizeof value);
}

void AppendHeader(const char* kind, int32_t dim, int64_t rows, std::string* to) {
  to->append(kind, 4);
  Append(dim, to);
  Append(rows, to);
  Append(int64_t{0}, to);
  Append(int64_t{0}, to);
  to->push_back(1);
  Append(int32_t{0}, to);
}

}  // namespace

void Faiss(std::string_view input) {
  Read(input);
  constexpr int32_t kDim = 2;
  const auto rows = static_cast<int64_t>(input.size() / (kDim * sizeof(float)));
  std::string map;
  AppendHeader("IxMp", kDim, rows, &map);
  AppendHeader("IxFI", kDim, rows, &map);
  Append(static_cast<uint64_t>(rows * kDim), &map);
  Read(map.append(input));
}

}  // namespace hullft::fuzz
