#include "coordinator/disk_watch.h"

#include <system_error>

#include "common/error.h"
#include "common/log.h"
#include "common/progress.h"
#include "common/test_faults.h"

namespace hullft::coordinator {

bool DiskWatch::Full(double now) {
  if (reserve_ == 0 || now < next_) return full_;
  next_ = now + kInterval;
  std::error_code error;
  const std::filesystem::space_info space = std::filesystem::space(folder_, error);
  if (error) {
    WarnOnce("disk", fmt::format("cannot tell how full the disk of {} is: {}", folder_.string(), error.message()));
    return full_ = false;
  }
  const auto available = static_cast<int64_t>(space.available);
  const int64_t free = test_faults::FreeBytes().value_or(available);
  const std::string text = FormatBytes(static_cast<double>(free));
  if (!full_ && free < reserve_) {
    full_ = true;
    spdlog::warn("paused: {} are left on the disk of {}, less than --disk-reserve; the run goes on when there is room",
                 text, folder_.string());
  } else if (full_ && free >= reserve_ + reserve_ / 4) {
    full_ = false;
    spdlog::warn("going on: {} are free on the disk of {}", text, folder_.string());
  }
  return full_;
}

}  // namespace hullft::coordinator
