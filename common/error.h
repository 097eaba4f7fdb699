// The one exception type of hullft, and the checks that throw it.
//
// Every failure that a user can see is an Error: a code (which decides the exit status), one sentence that says what is
// wrong and where (file, line, field), and a hint that says what to do. Foreign libraries are translated in their one
// wrapper. Not for expected outcomes (a miss, a full queue): those are [[nodiscard]] values. Thread safety: values.
#pragma once

#include <fmt/format.h>

#include <exception>
#include <source_location>
#include <string>
#include <string_view>

namespace hullft {

enum class Code {
  kUsage,        // the command line or a setting is wrong                                    exit 2
  kData,         // a file, record or tensor is not what it must be                           exit 1
  kIo,           // the operating system refused: missing, full, not permitted                exit 1
  kPeer,         // another rank failed, hung or sent what does not parse                     exit 75
  kNumeric,      // a computation gave NaN or infinity                                        exit 1
  kMemory,       // out of memory on the host or the device                                   exit 1
  kInterrupted,  // TERM, INT or USR1: stopped in order, may be resumed                       exit 130
  kInternal,     // a bug in hullft                                                           exit 70
};

// Stable lower-case name of a code, e.g. "data"; used in messages, rows and between ranks.
std::string_view CodeName(Code code);
// The code of a name from CodeName; kInternal for an unknown one.
Code CodeFromName(std::string_view name);
// The process exit status of an error with this code.
int ExitStatus(Code code);

class Error : public std::exception {
 public:
  // message: one sentence without a final stop. hint: what to do, may be empty.
  Error(Code code, std::string message, std::string hint = "",
        std::source_location where = std::source_location::current());

  Code code() const { return code_; }
  const std::string& message() const { return message_; }
  const std::string& hint() const { return hint_; }
  const std::source_location& where() const { return where_; }
  // "message (hint)".
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  Code code_;
  std::string message_, hint_, text_;
  std::source_location where_;
};

// Shorthand: throw DataError("{}: line {} is not JSON", path, line).
template <class... Args>
[[nodiscard]] Error DataError(fmt::format_string<Args...> format, Args&&... args) {
  return Error(Code::kData, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
[[nodiscard]] Error UsageError(fmt::format_string<Args...> format, Args&&... args) {
  return Error(Code::kUsage, fmt::format(format, std::forward<Args>(args)...));
}
// The last failed system call's errno text is appended; a full disk gets a hint.
[[nodiscard]] Error IoError(std::string_view action, std::string_view path);

// An invariant of the code itself; works in release builds. Throws Code::kInternal with the expression and its place.
#define HULLFT_CHECK(condition, ...)                                                                                \
  do {                                                                                                              \
    if (!(condition)) ::hullft::internal::CheckFailed(#condition, std::source_location::current(), "" __VA_ARGS__); \
  } while (false)

namespace internal {
[[noreturn]] void CheckFailed(const char* expression, std::source_location where, std::string_view detail);
}  // namespace internal
}  // namespace hullft
