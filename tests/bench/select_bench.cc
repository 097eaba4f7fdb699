// Selection of one query (K = 200, d = 384) on real text and on random directions. The requirement: Frank-Wolfe and
// rounding to N = 20 together under 1 ms on one core. Run: build/release/tests/bench/select_bench
#include <benchmark/benchmark.h>

#include <cmath>

#include "coordinator/select/kernels.h"
#include "coordinator/select/pool.h"
#include "coordinator/select/select.h"
#include "tests/select/golden_cases.h"

namespace hullft::select {
namespace {

const std::vector<GoldenCase>& Cases() {
  static const std::vector<GoldenCase> cases = RealCases();
  return cases;
}

// One iteration is one query; the queries of the goldens in turn.
void SelectReal(benchmark::State& state, Method method) {
  const std::vector<GoldenCase>& cases = Cases();
  SelectOptions options;
  options.method = method;
  options.n = static_cast<int>(state.range(0));
  size_t q = 0;
  for (auto _ : state) benchmark::DoNotOptimize(Select(cases[q++ % cases.size()].pool(), options));
}
BENCHMARK_CAPTURE(SelectReal, hullft, Method::kHullft)->Arg(1)->Arg(5)->Arg(20)->Arg(50)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(SelectReal, sift, Method::kSift)->Arg(20)->Arg(50)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(SelectReal, knn, Method::kKnn)->Arg(20)->Unit(benchmark::kMicrosecond);

// The slowest query of the set for N = 20, so that a mean hides nothing.
void SelectSlowest(benchmark::State& state) {
  const std::vector<GoldenCase>& cases = Cases();
  SelectOptions options;
  size_t slowest = 0;
  int most = -1;
  for (size_t q = 0; q < cases.size(); ++q) {
    const int iterations = Select(cases[q].pool(), options).iterations;
    if (iterations > most) slowest = q, most = iterations;
  }
  for (auto _ : state) benchmark::DoNotOptimize(Select(cases[slowest].pool(), options));
  state.counters["iterations"] = most;
}
BENCHMARK(SelectSlowest)->Unit(benchmark::kMicrosecond);

// A target inside the hull (the mean of the pool): the residual shrinks until its expansion cancels, the costly branch.
void SelectInsideHull(benchmark::State& state) {
  const GoldenCase& c = Cases()[0];
  std::vector<float> mean(c.d);
  for (int j = 0; j < c.d; ++j) {
    double sum = 0;
    for (int i = 0; i < 10; ++i) sum += c.rows[static_cast<size_t>(i) * c.d + j];
    mean[j] = static_cast<float>(sum / 10);
  }
  SelectOptions options;
  for (auto _ : state) benchmark::DoNotOptimize(Select({c.rows, mean, c.k, c.d}, options));
}
BENCHMARK(SelectInsideHull)->Unit(benchmark::kMicrosecond);

// One Gram column (K d products) on each instruction set.
void RowDots(benchmark::State& state) {
  const auto kernels = SupportedKernels();
  const size_t variant = state.range(0);
  if (variant >= kernels.size()) {
    state.SkipWithError("this CPU lacks the instruction set");
    return;
  }
  const GoldenCase& c = Cases()[0];
  const std::vector<double> target(c.target.begin(), c.target.end());
  std::vector<double> out(c.k);
  for (auto _ : state) {
    kernels[variant]->row_dots(c.rows.data(), c.k, c.d, target.data(), out.data());
    benchmark::ClobberMemory();
  }
  state.SetLabel(kernels[variant]->name);
}
BENCHMARK(RowDots)->Arg(0)->Arg(1)->Arg(2)->Unit(benchmark::kMicrosecond);

void Rescore(benchmark::State& state) {
  const GoldenCase& c = Cases()[0];
  std::vector<uint64_t> ids(c.k);
  for (int i = 0; i < c.k; ++i) ids[i] = (i * 7919) % 100003;
  for (auto _ : state) benchmark::DoNotOptimize(RescorePool(ids, c.rows, c.target, 150));
}
BENCHMARK(Rescore)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace hullft::select
