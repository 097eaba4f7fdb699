#include "common/error.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace hullft {
namespace {
constexpr std::array<std::pair<Code, std::string_view>, 8> kNames = {{
    {Code::kUsage, "usage"},
    {Code::kData, "data"},
    {Code::kIo, "io"},
    {Code::kPeer, "peer"},
    {Code::kNumeric, "numeric"},
    {Code::kMemory, "memory"},
    {Code::kInterrupted, "interrupted"},
    {Code::kInternal, "internal"},
}};
}  // namespace

std::string_view CodeName(Code code) {
  for (const auto& [c, name] : kNames) {
    if (c == code) return name;
  }
  return "internal";
}

Code CodeFromName(std::string_view name) {
  for (const auto& [code, n] : kNames) {
    if (n == name) return code;
  }
  return Code::kInternal;
}

int ExitStatus(Code code) {
  switch (code) {
    case Code::kUsage:
      return 2;
    case Code::kPeer:
      return 75;  // EX_TEMPFAIL: trying again may help (deploy/slurm/hullft.sbatch requeues on it)
    case Code::kInterrupted:
      return 130;
    case Code::kInternal:
      return 70;
    default:
      return 1;
  }
}

Error::Error(Code code, std::string message, std::string hint, std::source_location where)
    : code_(code), message_(std::move(message)), hint_(std::move(hint)), where_(where) {
  text_ = hint_.empty() ? message_ : message_ + " (" + hint_ + ")";
}

Error IoError(std::string_view action, std::string_view path) {
  const int error = errno;
  std::string hint;
  if (error == ENOSPC || error == EDQUOT) hint = "free some space there, or choose another folder";
  if (error == EACCES || error == EPERM || error == EROFS) hint = "check the folder's permissions";
  return Error(Code::kIo, fmt::format("cannot {} {}: {}", action, path, std::strerror(error)), hint);
}

namespace internal {
void CheckFailed(const char* expression, std::source_location where, std::string_view detail) {
  throw Error(Code::kInternal,
              fmt::format("check failed at {}:{}: {} {}", where.file_name(), where.line(), expression, detail),
              "this is a bug in hullft: please report it with the command you ran", where);
}
}  // namespace internal
}  // namespace hullft
