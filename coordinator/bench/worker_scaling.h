// How well many workers are kept at work.
#pragma once

#include <filesystem>
#include <string>

#include "common/figures.h"
#include "coordinator/bench/bench_world.h"

namespace hullft::coordinator {

struct SleepScaling {
  int most_workers = 32;
  int task_ms = 160;  // 32 workers then finish 200 tasks a second
  int tasks_a_worker = 25;
};

// Throughput of 1, 2, 4, ... workers whose tasks are sleeps, and what the coordinator needs for it.
void MeasureSleepScaling(BenchWorld& world, const std::filesystem::path& scratch, const SleepScaling& settings,
                         Figures* figures);

struct TuneScaling {
  std::string model;
  int sequences = 2, tokens = 128;  // that each query is finetuned on
  int tasks_a_worker = 3, repetitions = 3;
};

// Queries a second of two workers with one thread each, over those of one. In wall time, which needs two free cores,
// and in CPU time of the process, which shows what the workers take from each other (memory bandwidth) on any machine.
void MeasureTuneScaling(BenchWorld& world, const std::filesystem::path& scratch, const TuneScaling& settings,
                        Figures* figures);

}  // namespace hullft::coordinator
