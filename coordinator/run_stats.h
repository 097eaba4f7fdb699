// How a run was executed: what its scheduling, its workers and its messages came to. Not a function of the rows: the
// same rows can be made in many ways. Thread safety: values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hullft::coordinator {

struct WorkerStats {
  int rank = 0;
  std::string host;
  double busy = 0;  // share of its time with a task, from the first task of the run to its end
  int64_t finished = 0;
};

// Payloads to and from other ranks, as the communicator counts them; without the broadcast of the weights.
struct RankTraffic {
  int rank = 0;
  int64_t messages_sent = 0, messages_received = 0, bytes_sent = 0, bytes_received = 0;
};

struct RunStats {
  int64_t finished = 0, failed = 0;
  double started_ms = 0;               // Unix time
  double seconds = 0;                  // from the first query read to the last row durable
  double coordinator_cpu_seconds = 0;  // of the coordinator's thread in that time
  int64_t retried = 0, expired = 0, late = 0;
  std::vector<WorkerStats> workers;
  std::vector<RankTraffic> ranks;  // those that have reported; a hung one has not
  int world = 1;                   // ranks in all

  double BytesPerQuery() const;
};

// A few lines for the end of a run.
std::string StatsText(const RunStats& stats);
// execution.json of a run's folder (docs/formats/journal.md).
std::string StatsJson(const RunStats& stats);

}  // namespace hullft::coordinator
