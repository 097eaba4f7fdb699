// How long it takes to read a model of 135M parameters, warm: every worker that starts waits for it.
// Run: build/release/tests/worker/load_bench   (needs data/models)
#include <benchmark/benchmark.h>

#include "worker/models/language_model.h"

namespace hullft::worker {
namespace {

void LoadSmolLm2(benchmark::State& state) {
  for (auto _ : state) {
    const auto model = LoadLanguageModel(HULLFT_SOURCE_DIR "/data/models/smollm2-135m-instruct");
    benchmark::DoNotOptimize(model->parameters().data());
  }
}
BENCHMARK(LoadSmolLm2)->Unit(benchmark::kMillisecond)->UseRealTime()->MeasureProcessCPUTime();

}  // namespace
}  // namespace hullft::worker
