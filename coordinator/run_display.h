// The one progress display of a run, on rank 0: what it says is a function of a snapshot; RunDisplay puts it on
// standard error, redrawn on a terminal, as a line now and then in a log.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/messages.h"

namespace hullft::coordinator {

struct WorkerView {
  int rank = 0;
  double busy = 0;  // share of its time since the first task was handed out, 0 to 1
  int64_t in_flight = 0;
  bool silent = false;              // past the deadline of its task
  std::optional<StageEvent> event;  // its last one; nothing when it is idle or has not said anything of this task yet
};

struct RunView {
  int64_t total = 0, done = 0, done_before = 0, failed = 0;  // done_before: by earlier runs, part of done
  double seconds = 0;                                        // since this run began
  int64_t in_rounds = 0, ready = 0, in_flight = 0, late = 0;
  std::vector<WorkerView> workers;
};

// Queries a second of this run; seconds that the rest takes at this rate, nothing while there is none.
double Rate(const RunView& view);
std::optional<double> RemainingSeconds(const RunView& view);
// What a worker is at: "idle", "step 3 of 20".
std::string StageText(const WorkerView& worker);

// "120/1000 queries (12%), 3.41/s, 4 min 20 s left, 12 in rounds, 8 ready, 16 in flight, workers 97% busy (...)".
std::string LogLine(const RunView& view);
// Lines of at most `width` columns: a bar, the queues, and a line for each worker, or a digit each when there are many.
std::vector<std::string> Screen(const RunView& view, int width);
// Seconds between two log lines, `seconds` into the run: longer the longer it takes, so that the log of a week is
// short.
double LogInterval(double seconds);

class RunDisplay {
 public:
  explicit RunDisplay(bool enabled);
  // Whether Show would draw: making a view costs time.
  bool Due(double seconds) const;
  void Show(const RunView& view);
  // The last state stays standing.
  void Finish(const RunView& view);

 private:
  void Draw(const RunView& view);
  const bool enabled_, terminal_;
  std::optional<double> last_;  // seconds into the run of the last drawing
  size_t lines_ = 0;            // that stand on the terminal
};

}  // namespace hullft::coordinator
