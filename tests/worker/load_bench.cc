// How long it takes to read a model, warm: every worker that starts waits for it.
// Run: build/release/tests/worker/load_bench   (SmolLM2-135M of data/models)
//      HULLFT_BENCH_MODEL=FOLDER build/release/tests/worker/load_bench   (any; tests/bench/random_llama.py makes large
//      ones)
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <string>

#include "worker/models/language_model.h"

namespace hullft::worker {
namespace {

void LoadModel(benchmark::State& state) {
  const char* const asked = std::getenv("HULLFT_BENCH_MODEL");
  const std::string folder = asked != nullptr ? asked : HULLFT_SOURCE_DIR "/data/models/smollm2-135m-instruct";
  int64_t parameters = 0;
  for (auto _ : state) {
    const auto model = LoadLanguageModel(folder);
    parameters = model->flat().numel();
    benchmark::DoNotOptimize(model->parameters().data());
  }
  state.counters["parameters"] = static_cast<double>(parameters);
}
BENCHMARK(LoadModel)->Unit(benchmark::kMillisecond)->UseRealTime()->MeasureProcessCPUTime();

}  // namespace
}  // namespace hullft::worker
