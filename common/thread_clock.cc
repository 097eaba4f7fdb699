#include "common/thread_clock.h"

#include <time.h>

#include "common/error.h"

namespace hullft {
namespace {

double ClockSeconds(clockid_t clock) {
  timespec now{};
  HULLFT_CHECK(::clock_gettime(clock, &now) == 0);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

}  // namespace

double ThreadCpuSeconds() {
  return ClockSeconds(CLOCK_THREAD_CPUTIME_ID);
}

double ProcessCpuSeconds() {
  return ClockSeconds(CLOCK_PROCESS_CPUTIME_ID);
}

}  // namespace hullft
