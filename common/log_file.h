// What is logged, in a file that does not grow without end. Thread-safe.
#pragma once

#include <spdlog/common.h>

#include <cstdint>
#include <filesystem>
#include <memory>

namespace hullft {

// While it lives, what is logged goes to the file too. A file that has grown to `bytes` becomes NAME.1, that NAME.2 and
// so on; the oldest of kFiles goes. Nothing where InitLogging was not called. A write that fails is said on standard
// error by spdlog.
class LogFile {
 public:
  explicit LogFile(const std::filesystem::path& path, int64_t bytes = kBytes);
  ~LogFile();
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;

  static constexpr int64_t kBytes = int64_t{8} << 20;
  static constexpr int kFiles = 3;

 private:
  spdlog::sink_ptr sink_;
};

}  // namespace hullft
