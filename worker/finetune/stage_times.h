// How long the stages of finetuning took: wall time, and CPU time of the whole process, which is steadier on a machine
// that others use too.
#pragma once

#include <time.h>

namespace hullft::worker {

struct StageTime {
  double wall_ms = 0, cpu_ms = 0;
};

// The stages of one computed gradient. On a GPU only their sum means something, unless the device was synchronised.
struct GradientTimes {
  StageTime forward, loss, backward, adam;
  int tokens = 0;  // of the sequence
  int steps = 0;   // Adam steps in the one pass
};

class StageClock {
 public:
  StageClock() : last_(Now()) {}
  // Time since the last Lap, or since construction.
  StageTime Lap() {
    const StageTime now = Now(), before = last_;
    last_ = now;
    return {now.wall_ms - before.wall_ms, now.cpu_ms - before.cpu_ms};
  }

 private:
  static double Milliseconds(clockid_t clock) {
    timespec now{};
    ::clock_gettime(clock, &now);
    return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) * 1e-6;
  }
  static StageTime Now() { return {Milliseconds(CLOCK_MONOTONIC), Milliseconds(CLOCK_PROCESS_CPUTIME_ID)}; }

  StageTime last_;
};

}  // namespace hullft::worker
