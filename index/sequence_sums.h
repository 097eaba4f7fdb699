// Checksums of every sequence of a partition, made when it is built and carried with what is read of it until it is
// used: text, tokens and embedding as stored, XXH3-64 each. A partition of an older build has no file of them; its sums
// are then made when a sequence is read. Thread-safe for reading.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "common/files.h"
#include "common/hash.h"

namespace hullft::index {

struct SequenceSums {
  uint64_t text = 0, tokens = 0, embedding = 0;
};
static_assert(sizeof(SequenceSums) == 24);  // as it lies in the file

template <class T>
uint64_t SumOf(std::span<const T> values) {
  return Hash64({reinterpret_cast<const char*>(values.data()), values.size_bytes()});
}

class SequenceSumsFile {
 public:
  // rows: that it must have. Throws kData when it has others.
  SequenceSumsFile(const std::filesystem::path& path, int64_t rows);
  const SequenceSums& operator[](int64_t row) const { return sums_[static_cast<size_t>(row)]; }

 private:
  const MappedFile file_;
  std::span<const SequenceSums> sums_;
};

}  // namespace hullft::index
