#include "common/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <sstream>
#include <utility>

#include "common/descriptor.h"
#include "common/error.h"
#include "common/map_faults.h"
#include "common/test_faults.h"

namespace hullft {
namespace {

int OpenOrThrow(const std::string& path, int flags, std::string_view action) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC, 0644);
  if (fd < 0) throw IoError(action, path);
  return fd;
}

// What a path stands for that is no regular file, in words.
const char* KindOf(mode_t mode) {
  if (S_ISDIR(mode)) return "a folder";
  if (S_ISFIFO(mode)) return "a named pipe";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

Error NotAFile(const std::filesystem::path& path, const char* kind) {
  return Error(Code::kData, fmt::format("{} is {}, a file was expected", path.string(), kind),
               "what a pipe or a device gives must be written into a file first");
}

// For writing: a pipe that lies where a file is to be would wait for its reader.
int OpenOutput(const std::string& path, int flags, std::string_view action) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC | O_NONBLOCK, 0644);
  if (fd < 0 && errno == ENXIO) throw NotAFile(path, "a named pipe or a socket");
  if (fd < 0) throw IoError(action, path);
  return fd;
}

// Everything that a descriptor gives, from its beginning.
std::string ReadAll(int fd, size_t expected, const std::string& path) {
  std::string content(expected, '\0');
  size_t done = 0;
  while (true) {
    if (done == content.size()) content.resize(done + 65536);  // pipes and /proc report size 0
    const ssize_t n = ::read(fd, content.data() + done, content.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw IoError("read", path);
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  content.resize(done);
  return content;
}

// The half of a write that a full disk still takes, where a test asks for one.
void FailHalfWay(int fd, std::string_view data, const std::string& path) {
  const ssize_t written = ::write(fd, data.data(), data.size() / 2);
  errno = written < 0 ? errno : ENOSPC;
  throw IoError("write", path);
}

void WriteAll(int fd, std::string_view data, const std::string& path) {
  if (test_faults::Strikes(test_faults::Kind::kWrite)) FailHalfWay(fd, data, path);
  while (!data.empty()) {
    const ssize_t n = ::write(fd, data.data(), data.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw IoError("write", path);
    data.remove_prefix(static_cast<size_t>(n));
  }
}

// fsync or fdatasync. 0, or -1 with errno.
int SyncBy(int (*call)(int), int fd) {
  if (!test_faults::Strikes(test_faults::Kind::kFsync)) return call(fd);
  errno = EIO;
  return -1;
}

}  // namespace

bool Exists(const std::filesystem::path& path) {
  std::error_code error;
  const bool there = std::filesystem::exists(path, error);
  if (!error) return there;
  errno = error.value();
  throw IoError("look at", path.string());
}

int OpenInput(const std::filesystem::path& path) {
  // O_NONBLOCK: opening a named pipe does not wait for its writer. For a regular file it means nothing.
  const int opened = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (opened < 0 && errno == ENXIO) throw NotAFile(path, "a socket");
  if (opened < 0) throw IoError("open", path.string());
  Descriptor fd(opened);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) throw IoError("stat", path.string());
  if (!S_ISREG(info.st_mode)) throw NotAFile(path, KindOf(info.st_mode));
  return fd.Take();
}

std::string ReadFile(const std::filesystem::path& path) {
  const Descriptor fd(OpenInput(path));
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) throw IoError("stat", path.string());
  return ReadAll(fd.get(), static_cast<size_t>(info.st_size), path.string());
}

std::string ReadFileOrStream(const std::filesystem::path& path) {
  std::error_code ignored;  // ignored: what cannot be looked at cannot be opened either, and that says why
  if (std::filesystem::is_directory(path, ignored)) throw NotAFile(path, "a folder");
  const Descriptor fd(OpenOrThrow(path, O_RDONLY, "open"));
  return ReadAll(fd.get(), 0, path.string());
}

void WriteFileAtomic(const std::filesystem::path& path, std::string_view content) {
  const std::string temporary = path.string() + ".tmp";
  try {
    Descriptor fd(OpenOutput(temporary, O_WRONLY | O_CREAT | O_TRUNC, "create"));
    WriteAll(fd.get(), content, temporary);
    if (SyncBy(::fsync, fd.get()) != 0) throw IoError("fsync", temporary);
  } catch (...) {
    ::unlink(temporary.c_str());  // ignored: a leftover is written over by the next attempt
    throw;
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) throw IoError("rename to", path.string());
  FsyncFolder(path.parent_path().empty() ? "." : path.parent_path());
}

void FsyncFile(const std::filesystem::path& path) {
  Descriptor fd(OpenOrThrow(path, O_RDONLY, "open"));
  if (SyncBy(::fsync, fd.get()) != 0) throw IoError("fsync", path.string());
}

void FsyncFolder(const std::filesystem::path& folder) {
  Descriptor fd(OpenOrThrow(folder, O_RDONLY | O_DIRECTORY, "open"));
  if (SyncBy(::fsync, fd.get()) != 0 && errno != EINVAL) throw IoError("fsync", folder.string());
}

void MakeFolders(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) {
    errno = error.value();
    throw IoError("create folder", folder.string());
  }
}

MappedFile::MappedFile(const std::filesystem::path& path) {
  const Descriptor fd(OpenInput(path));
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) throw IoError("stat", path.string());
  size_ = static_cast<size_t>(info.st_size);
  if (size_ == 0) return;
  data_ = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, fd.get(), 0);
  if (data_ == MAP_FAILED) {
    data_ = nullptr;
    throw IoError("map", path.string());
  }
  NameMap(data_, size_, path.string());
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ == nullptr) return;
  ForgetMap(data_);
  ::munmap(data_, size_);  // ignored: fails for a wrong address only
}

void MappedFile::Release(size_t begin, size_t end) const {
  static const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t first = (begin + page - 1) / page * page, last = std::min(end, size_) / page * page;
  if (first < last) ::madvise(static_cast<std::byte*>(data_) + first, last - first, MADV_DONTNEED);  // ignored: a hint
}

AppendFile::AppendFile(const std::filesystem::path& path)
    : path_(path.string()), fd_(OpenOutput(path_, O_WRONLY | O_CREAT | O_APPEND, "open for appending")) {}

AppendFile::~AppendFile() {
  ::close(fd_);  // ignored: nothing is lost by it
}

void AppendFile::Append(std::string_view data) {
  WriteAll(fd_, data, path_);
}

void AppendFile::Sync() {
  if (SyncBy(::fdatasync, fd_) != 0) throw IoError("fsync", path_);
}

namespace {

std::string ThisHost() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "unknown host";
}

// What a lock file says about the process that holds it.
std::string HolderOf(const std::filesystem::path& lock) {
  std::string process, host;
  try {
    std::istringstream text(ReadFile(lock));
    text >> process >> host;
  } catch (const Error&) {  // ignored: gone since, and said below
  }
  return host.empty() ? "another process" : fmt::format("process {} on {}", process, host);
}

// False when the name stands for another file by now, or for none.
bool IsStill(const std::filesystem::path& path, int fd) {
  struct stat named {
  }, open{};
  return ::fstat(fd, &open) == 0 && ::stat(path.c_str(), &named) == 0 && named.st_ino == open.st_ino &&
         named.st_dev == open.st_dev;
}

}  // namespace

FileLock::FileLock(const std::filesystem::path& path) {
  while (fd_ < 0) {
    Descriptor fd(OpenOrThrow(path, O_RDWR | O_CREAT, "open"));
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) throw IoError("lock", path.string());
      std::filesystem::path what = path.parent_path();  // "FOLDER/lock" or "FOLDER.lock"
      if (path.filename() != "lock") what = std::filesystem::path(path).replace_extension();
      throw Error(Code::kUsage, fmt::format("{} is in use by {}", what.string(), HolderOf(path)),
                  "wait for it to end, or choose another output folder");
    }
    if (IsStill(path, fd.get())) fd_ = fd.Take();  // else its holder has just removed it: lock the new one
  }
  const std::string holder = fmt::format("{} {}\n", ::getpid(), ThisHost());
  if (::ftruncate(fd_, 0) == 0 && ::pwrite(fd_, holder.data(), holder.size(), 0) < 0) {
    // For the message alone: on a full disk the lock holds without it.
  }
}

FileLock::~FileLock() {
  ::close(fd_);  // ignored: nothing is lost by it
}

}  // namespace hullft
