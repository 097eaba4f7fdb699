// Content hashes: XXH3 (xxHash), not cryptographic. The same bytes give the same hash on every machine and release: the
// algorithm's output is part of the formats on disk. Thread safety: free functions; a Hasher is one thread's.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace hullft {

uint64_t Hash64(std::string_view bytes);
// 32 lower-case hexadecimal digits of the 128-bit hash.
std::string HashHex(std::string_view bytes);
// HashHex of a whole file, read by memory map.
std::string HashFileHex(const std::filesystem::path& path);

// Incremental 128-bit hash. Update(field) is framed by the field's length, so that ("ab","c") and ("a","bc") differ.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher& UpdateRaw(std::string_view bytes);
  Hasher& Update(std::string_view field);
  std::string Hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace hullft
