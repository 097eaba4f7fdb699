// hullft bench machine: the peaks of this machine, against which other figures are set.
#include <cstdio>

#include "common/figures.h"
#include "common/files.h"
#include "common/options.h"
#include "common/parallel.h"
#include "coordinator/bench/subjects.h"
#include "worker/bench/machine_rates.h"

namespace hullft::coordinator {

int BenchMachine(const Arguments& args) {
  int threads = 0, repetitions = 10;
  std::string clock = "wall", output;
  OptionTable table("hullft bench machine",
                    "Measures the best rates of matrix products and memory that this machine gives to finetuning.");
  table.Add("threads", &threads, "0: all cores this process may use").Range(0, 4096);
  table.Add("repetitions", &repetitions, "of which the shortest counts").Range(1, 1000);
  table.Add("clock", &clock, "cpu: CPU time / threads, for a machine that is in use").OneOf({"wall", "cpu"});
  table.Add("output", &output, "file for the figures as JSON, which hullft bench finetune --machine reads");
  table.Example("hullft bench machine --output machine.json");
  if (table.Parse(args)) return 0;
  if (threads == 0) threads = UsableCores();
  const worker::MachineRates rates = worker::MeasureMachine(
      threads, repetitions, clock == "cpu" ? worker::BenchClock::kCpu : worker::BenchClock::kWall);
  Figures figures("machine", Figures::MachineFacts(HULLFT_VERSION));
  figures.AddFact("cpu", rates.cpu);
  figures.AddFact("bf16", rates.bf16);
  figures.AddFact("threads", std::to_string(threads));
  figures.AddFact("clock", clock);
  figures.Add({"machine.sgemm_gflops",
               "float32 matrix product, best of finetuning's shapes",
               rates.sgemm_gflops,
               "GFLOP/s",
               {},
               {}});
  figures.Add({"machine.bf16_gflops",
               "bfloat16 matrix product, best of the same shapes",
               rates.bf16_gflops,
               "GFLOP/s",
               {},
               {}});
  figures.Add({"machine.triad_gbs", "memory, triad over 1.5 GB", rates.triad_gbs, "GB/s", {}, {}});
  std::fputs(figures.Table().c_str(), stdout);
  if (!output.empty()) WriteFileAtomic(output, figures.Json());
  return 0;
}

}  // namespace hullft::coordinator
