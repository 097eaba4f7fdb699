// Checksums of a large mapped file in blocks of 64 KiB, so that opening it need not read it: each block is checked when
// it is first read. Thread-safe, but for BlockSums.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hullft::index {

inline constexpr size_t kCheckedBlock = 64 << 10;  // bytes

// Makes the checksums of what is written piece by piece.
class BlockSums {
 public:
  void Add(std::string_view bytes);
  // XXH3-64 of every block, 8 bytes each; nothing may be added after it.
  std::string Finish();

 private:
  std::string rest_, sums_;
};

class BlockChecks {
 public:
  // bytes: of the file at path; sums: as BlockSums made them. Both outlive the object. Throws kData when their numbers
  // do not fit.
  BlockChecks(std::filesystem::path path, std::span<const std::byte> bytes, std::span<const std::byte> sums);
  // Checks the blocks that hold bytes [begin, end), unless they were. Throws kData, naming the file.
  void Check(size_t begin, size_t end) const;
  // From now on also blocks that were checked before. Not while another thread checks.
  void CheckEveryRead() { remembers_ = false; }

 private:
  const std::filesystem::path path_;
  const std::span<const std::byte> bytes_, sums_;
  mutable std::vector<std::atomic<uint8_t>> good_;  // of each block
  bool remembers_ = true;
};

}  // namespace hullft::index
