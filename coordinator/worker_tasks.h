// What a worker can do, apart from how it is asked (roles.h): models in a run (worker_models.h), a sleep in
// `hullft bench cluster`.
//
// Thread safety: Embed by one thread at a time, Tune by one thread a lane; both at once.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "coordinator/messages.h"

namespace hullft::coordinator {

// Told as a task goes on; step and steps count optimizer steps, 0 of 0 outside of tuning.
using StageSink = std::function<void(Stage stage, int64_t step, int64_t steps)>;

class WorkerTasks {
 public:
  virtual ~WorkerTasks() = default;
  virtual int dim() const = 0;  // width of what Embed writes; 0 when it cannot embed
  // out: row-major [texts][dim].
  virtual void Embed(std::span<const std::string_view> texts, std::span<float> out) = 0;
  virtual int lanes() const { return 1; }  // tasks that may run at once
  // Scores, finetunes, scores again. What goes wrong is thrown; the caller makes a failed TuneDone of it. lane: from 0.
  virtual TuneDone Tune(int lane, const TuneJob& job, const StageSink& stages) = 0;
};

}  // namespace hullft::coordinator
