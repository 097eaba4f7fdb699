// A file as a stream of plain bytes, whatever its compression: plain, gzip (.gz, also of several members) or zstd
// (.zst). The one wrapper of zlib and libzstd. The compression is known by the file's first bytes; a file named .gz or
// .zst that is not compressed so is an error. Thread safety: one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

namespace hullft::index {

class ByteSource {
 public:
  // Throws kIo when path cannot be opened, kData for a folder or a compression that its name does not match.
  static std::unique_ptr<ByteSource> Open(const std::filesystem::path& path);
  // The bytes of a plain file from `offset` on. Throws as Open, and kData for a compressed file.
  static std::unique_ptr<ByteSource> OpenAt(const std::filesystem::path& path, int64_t offset);
  // The bytes as they are, compressed or not. Throws as Open.
  static std::unique_ptr<ByteSource> OpenAsIs(const std::filesystem::path& path);
  // True for a file that is not compressed. Throws as Open.
  static bool IsPlain(const std::filesystem::path& path);
  virtual ~ByteSource() = default;
  // Fills the front of out with the next bytes and returns how many: 0 only at the end. Throws kData for compressed
  // data that is damaged or cut off, kIo when reading fails.
  virtual size_t Read(std::span<char> out) = 0;
};

}  // namespace hullft::index
