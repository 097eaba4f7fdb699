// Faults that tests of whole runs ask a worker for, by environment variables; without them nothing happens.
//   HULLFT_TEST_TASK_MS=MS          every finetuning task begins with a sleep: a run long enough to be disturbed
//   HULLFT_TEST_HANG=RANK:TASK      the worker of this rank never comes back from its so-many-th task, counted from 1//
//   HULLFT_TEST_START=FAULT:RANK    this rank dies or hangs (FAULT: dies, hangs) while models are loaded
#pragma once

#include <cstdint>
#include <string>

namespace hullft::coordinator {

struct TestHooks {
  int task_ms = 0;
  int hang_rank = -1;
  int64_t hang_task = 0;
  std::string start_fault;
  int start_rank = -1;

  // Throws kUsage for a variable that does not parse.
  static TestHooks FromEnvironment();
  void WhileLoading(int rank) const;
  // At the start of this rank's so-many-th task, from 1.
  void BeforeTask(int rank, int64_t task) const;
};

}  // namespace hullft::coordinator
