// Why: a step that reuses a gradient should cost next to nothing. One pass over the parameters moves 7 arrays through
// memory, so a run of r steps in one pass should take about as long as one step (method.md §5).
// Result (CPU time per pass on 2 busy cores of an Intel Xeon, family 6, model 207, 134.5 million parameters, 2
// threads): 1 step 86 ms, 2 steps 106, 4 steps 200; torch's fused Adam 86 per step.
#include <ATen/ATen.h>
#include <benchmark/benchmark.h>

#include "worker/finetune/adam.h"
#include "worker/finetune/flat_weights.h"

namespace hullft::worker {
namespace {

constexpr int64_t kParameters = 134'515'008;  // SmolLM2-135M

struct Arrays {
  FlatBuffer base{kParameters, 0}, weights{kParameters, 1}, m{kParameters, 2}, v{kParameters, 3},
      gradient{kParameters, 4};
  Arrays() {
    for (int64_t i = 0; i < kParameters; ++i) {
      base.data()[i] = static_cast<float>(i % 1000) * 1e-3F;
      gradient.data()[i] = static_cast<float>(i % 777 - 388) * 1e-6F;
    }
  }
  AdamSegment Segment(bool fresh) const {
    return {fresh ? base.data() : weights.data(), weights.data(), m.data(), v.data(), gradient.data(), kParameters};
  }
};

const Arrays& Shared() {
  static const Arrays arrays;
  return arrays;
}

// Arguments: steps in one pass, threads.
void BM_AdamRun(benchmark::State& state) {
  const AdamSegment segment = Shared().Segment(false);
  AdamRun({}, 0, 1, {&segment, 1}, 1);
  for (auto _ : state) {
    AdamRun({}, 10, static_cast<int>(state.range(0)), {&segment, 1}, static_cast<int>(state.range(1)));
  }
  state.SetBytesProcessed(state.iterations() * kParameters * 7 * static_cast<int64_t>(sizeof(float)));
}
BENCHMARK(BM_AdamRun)->ArgsProduct({{1, 2, 4}, {1, 2}})->Unit(benchmark::kMillisecond)->UseRealTime();

// The first pass of a query: reads the base and the gradient, writes the rest.
void BM_AdamFirstRun(benchmark::State& state) {
  const AdamSegment segment = Shared().Segment(true);
  for (auto _ : state) AdamRun({}, 0, 2, {&segment, 1}, static_cast<int>(state.range(0)));
}
BENCHMARK(BM_AdamFirstRun)->Arg(1)->Arg(2)->Unit(benchmark::kMillisecond)->UseRealTime();

void BM_TorchFusedAdam(benchmark::State& state) {
  const auto tensor = [](const FlatBuffer& buffer) { return at::from_blob(buffer.data(), {kParameters}); };
  const Arrays& a = Shared();
  const at::Tensor step = at::ones({});
  for (auto _ : state) {
    at::_fused_adam_({tensor(a.weights)}, {tensor(a.gradient)}, {tensor(a.m)}, {tensor(a.v)}, {}, {step}, 5e-5, 0.9,
                     0.999, 0.0, 1e-8, false, false);
  }
}
BENCHMARK(BM_TorchFusedAdam)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace hullft::worker
