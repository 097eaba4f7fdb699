// What this machine can do at best with the libraries that finetuning uses: the peaks that stage timings are set
// against. The shortest of several repetitions counts. Needs 1.5 GB of memory.
#pragma once

#include <string>

namespace hullft::worker {

struct MachineRates {
  std::string cpu;          // as /proc/cpuinfo names it
  std::string bf16;         // "AMX", "AVX512_BF16" or "none": what the CPU multiplies bfloat16 with
  double sgemm_gflops = 0;  // float32 matrix product, the best over a few shapes that finetuning has
  double bf16_gflops = 0;   // bfloat16 product, float32 sums
  double triad_gbs = 0;     // a = b + s c over arrays larger than any cache; 12 bytes an element are counted
};

enum class BenchClock {
  kWall,
  kCpu,  // the process's CPU time divided by the threads: for machines that others use too
};

// Throws kMemory.
MachineRates MeasureMachine(int threads, int repetitions, BenchClock clock);

// "AMX", "AVX512_BF16" or "none".
std::string Bf16Support();

}  // namespace hullft::worker
