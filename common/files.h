// Files: reading, memory maps, durable atomic writing. Errors are hullft::Error (kIo, kData) that name the path.
// Thread safety: different objects may be used from different threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace hullft {

// Whether something is there, links followed. Throws kIo where that cannot be seen (a name too long, a folder that may
// not be entered): std::filesystem's own exception would count as a bug of hullft.
bool Exists(const std::filesystem::path& path);

// A descriptor that reads path, which the caller closes. Throws kData at once for what is no regular file: a named pipe
// would wait for its writer, a device may never end, and neither has a size, can be mapped or read twice.
int OpenInput(const std::filesystem::path& path);

// The whole regular file as bytes.
std::string ReadFile(const std::filesystem::path& path);
// The same for what a user names to be read once, from its beginning: also a stream, such as /dev/stdin or <(command).
std::string ReadFileOrStream(const std::filesystem::path& path);

// Writes path.tmp, fsyncs it, renames it to path and fsyncs the folder: path holds either its old or its new content.
void WriteFileAtomic(const std::filesystem::path& path, std::string_view content);

void FsyncFile(const std::filesystem::path& path);
void FsyncFolder(const std::filesystem::path& folder);

// mkdir -p; an existing folder is fine.
void MakeFolders(const std::filesystem::path& folder);

// A read-only memory map of a whole file, unmapped on destruction. Movable.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();
  std::span<const std::byte> bytes() const { return {static_cast<const std::byte*>(data_), size_}; }
  // The bytes [begin, end) are not needed for now: they no longer count as this process's memory, and are read again
  // when they are touched.
  void Release(size_t begin, size_t end) const;

 private:
  void* data_ = nullptr;
  size_t size_ = 0;
};

// An append-only file: every Append writes whole, Sync makes what was appended durable. Not thread-safe.
class AppendFile {
 public:
  // Opens or creates path for appending.
  explicit AppendFile(const std::filesystem::path& path);
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;
  ~AppendFile();
  void Append(std::string_view data);
  void Sync();

 private:
  std::string path_;
  int fd_ = -1;
};

// Holds an exclusive lock on a file for its lifetime. Throws kUsage, naming the process (and host) that holds it.
class FileLock {
 public:
  explicit FileLock(const std::filesystem::path& path);
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;
  ~FileLock();

 private:
  int fd_ = -1;
};

}  // namespace hullft
