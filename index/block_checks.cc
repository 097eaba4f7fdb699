#include "index/block_checks.h"

#include <algorithm>
#include <cstring>

#include "common/error.h"
#include "common/hash.h"

namespace hullft::index {

void BlockSums::Add(std::string_view bytes) {
  while (!bytes.empty()) {
    const size_t n = std::min(bytes.size(), kCheckedBlock - rest_.size());
    rest_.append(bytes.substr(0, n));
    bytes.remove_prefix(n);
    if (rest_.size() < kCheckedBlock) return;
    const uint64_t sum = Hash64(rest_);
    sums_.append(reinterpret_cast<const char*>(&sum), sizeof sum);
    rest_.clear();
  }
}

std::string BlockSums::Finish() {
  if (!rest_.empty()) {
    const uint64_t sum = Hash64(rest_);
    sums_.append(reinterpret_cast<const char*>(&sum), sizeof sum);
  }
  return std::move(sums_);
}

BlockChecks::BlockChecks(std::filesystem::path path, std::span<const std::byte> bytes, std::span<const std::byte> sums)
    : path_(std::move(path)), bytes_(bytes), sums_(sums), good_((bytes.size() + kCheckedBlock - 1) / kCheckedBlock) {
  if (sums.size() != good_.size() * sizeof(uint64_t)) {
    throw Error(Code::kData, path_.string() + " does not fit its checksums: one of the two files is of another build",
                "hullft index verify says more");
  }
}

void BlockChecks::Check(size_t begin, size_t end) const {
  if (begin >= end) return;
  for (size_t block = begin / kCheckedBlock; block <= (end - 1) / kCheckedBlock; ++block) {
    if (remembers_ && good_[block].load(std::memory_order_relaxed) != 0) continue;
    const size_t at = block * kCheckedBlock;
    const auto bytes = bytes_.subspan(at, std::min(kCheckedBlock, bytes_.size() - at));
    uint64_t wanted = 0;
    std::memcpy(&wanted, sums_.data() + block * sizeof wanted, sizeof wanted);
    if (Hash64({reinterpret_cast<const char*>(bytes.data()), bytes.size()}) != wanted) {
      throw Error(Code::kData,
                  fmt::format("{} has another checksum than it was built with, at bytes {} to {}", path_.string(), at,
                              at + bytes.size()),
                  "the file or the way to it is damaged: hullft index verify on the corpus tells which. A node's copy "
                  "(--stage) is made again once it is removed");
    }
    good_[block].store(1, std::memory_order_relaxed);
  }
}

}  // namespace hullft::index
