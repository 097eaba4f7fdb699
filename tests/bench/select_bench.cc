// Selection of one query: the table of docs/performance.md. Real text is the goldens' queries in turn (d = 384, K =
// 200); other sizes keep its geometry: more rows from all embeddings of the goldens, and to d = 1024 by an isometry.
// Run: build/release/tests/bench/select_bench
#include <benchmark/benchmark.h>

#include <cmath>
#include <map>
#include <numeric>

#include "common/parallel.h"
#include "coordinator/select/gram_columns.h"
#include "coordinator/select/kernels.h"
#include "coordinator/select/pool.h"
#include "coordinator/select/select.h"
#include "tests/select/golden_cases.h"
#include "tests/select/random_pool.h"

namespace hullft::select {
namespace {

const std::vector<GoldenCase>& Cases() {
  static const std::vector<GoldenCase> cases = RealCases();
  return cases;
}

// x padded with zeros, its signs drawn at random, times a Hadamard matrix of order 1024 over 32: inner products stay.
void WidenTo1024(std::span<const float> x, float* out) {
  Draw draw(7);
  double values[1024] = {};
  for (size_t j = 0; j < x.size(); ++j) values[j] = draw.Below(2) == 0 ? x[j] : -x[j];
  for (int half = 1; half < 1024; half *= 2) {
    for (int i = 0; i < 1024; i += 2 * half) {
      for (int j = i; j < i + half; ++j) {
        const double a = values[j], b = values[j + half];
        values[j] = a + b, values[j + half] = a - b;
      }
    }
  }
  for (int j = 0; j < 1024; ++j) out[j] = static_cast<float>(values[j] / 32);
}

// The K rows nearest to each golden query, at d = 1024.
const std::vector<GoldenCase>& WideCases(int k) {
  static std::map<int, std::vector<GoldenCase>> by_k;
  std::vector<GoldenCase>& cases = by_k[k];
  if (!cases.empty()) return cases;
  const NpyFile embeddings(GoldensFolder() / "emb_rows.npy");
  const int from = static_cast<int>(embeddings.shape()[0]), d = static_cast<int>(embeddings.shape()[1]);
  for (const GoldenCase& golden : Cases()) {
    std::vector<uint64_t> ids(static_cast<size_t>(from));
    std::iota(ids.begin(), ids.end(), uint64_t{0});
    const PoolOrder order = RescorePool(ids, embeddings.values(), golden.target, k);
    GoldenCase wide;
    wide.k = k, wide.d = 1024, wide.rows.resize(static_cast<size_t>(k) * 1024), wide.target.resize(1024);
    WidenTo1024(golden.target, wide.target.data());
    for (int i = 0; i < k; ++i) {
      const auto row = static_cast<size_t>(order.rows[static_cast<size_t>(i)]) * static_cast<size_t>(d);
      WidenTo1024(embeddings.values().subspan(row, static_cast<size_t>(d)), &wide.rows[static_cast<size_t>(i) * 1024]);
    }
    cases.push_back(std::move(wide));
  }
  return cases;
}

// One iteration is one query, all in turn.
void SelectAll(benchmark::State& state, const std::vector<GoldenCase>& cases, const SelectOptions& options) {
  double support = 0, iterations = 0, gap = 0;
  for (const GoldenCase& c : cases) {
    const Selection chosen = Select(c.pool(), options);
    support += static_cast<double>(chosen.support.size()) / static_cast<double>(cases.size());
    iterations += static_cast<double>(chosen.iterations) / static_cast<double>(cases.size());
    gap = std::max(gap, chosen.gap);
  }
  size_t q = 0;
  for (auto _ : state) benchmark::DoNotOptimize(Select(cases[q++ % cases.size()].pool(), options));
  state.counters["support"] = support;
  state.counters["iterations"] = iterations;
  state.counters["worst_gap"] = gap;
}

void SelectReal(benchmark::State& state, Method method) {
  SelectOptions options;
  options.method = method;
  options.n = static_cast<int>(state.range(0));
  SelectAll(state, Cases(), options);
}
BENCHMARK_CAPTURE(SelectReal, hullft, Method::kHullft)->Arg(1)->Arg(5)->Arg(20)->Arg(50)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(SelectReal, sift, Method::kSift)->Arg(20)->Arg(50)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(SelectReal, knn, Method::kKnn)->Arg(20)->Unit(benchmark::kMicrosecond);

// d = 1024, N = 50; the argument is K.
void SelectWide(benchmark::State& state) {
  SelectAll(state, WideCases(static_cast<int>(state.range(0))), {.n = 50});
}
BENCHMARK(SelectWide)->Arg(200)->Arg(2000)->Unit(benchmark::kMicrosecond);

// The same with random directions, where 50 updates enter 50 points: as many Gram columns as there can be.
void SelectRandom(benchmark::State& state) {
  const int k = static_cast<int>(state.range(0));
  const RandomPool random(3, k, 1024, true);
  SelectOptions options;
  options.n = 50;
  for (auto _ : state) benchmark::DoNotOptimize(Select(random.pool(), options));
  state.counters["support"] = static_cast<double>(Select(random.pool(), options).support.size());
}
BENCHMARK(SelectRandom)->Arg(200)->Arg(2000)->Unit(benchmark::kMicrosecond);

// To the optimum: gap at most 1e-8, no limit on the support; K = 200, d = 1024.
void SelectOptimum(benchmark::State& state, Variant variant) {
  SelectOptions options;
  options.n = 200;
  options.variant = variant;
  options.gap_tol = 1e-8;
  options.max_iter = 100000;
  SelectAll(state, WideCases(200), options);
}
BENCHMARK_CAPTURE(SelectOptimum, corrective, Variant::kCorrective)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(SelectOptimum, pairwise, Variant::kPairwise)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(SelectOptimum, away, Variant::kAway)->Unit(benchmark::kMicrosecond);

// 10,000 targets over one pool (K = 200, d = 384, N = 20); the argument is threads. The targets are mixtures of the
// pool's query and rows. items_per_second: targets.
void SharedPool(benchmark::State& state) {
  constexpr int kTargets = 10000;
  const GoldenCase& c = Cases()[0];
  const auto d = static_cast<size_t>(c.d);
  std::vector<float> targets(kTargets * d);
  Draw draw(1);
  for (size_t q = 0; q < kTargets; ++q) {
    const float* x = &c.rows[static_cast<size_t>(draw.Below(c.k)) * d];
    for (size_t j = 0; j < d; ++j) targets[q * d + j] = 0.7f * c.target[j] + 0.3f * x[j];
  }
  std::vector<Selection> chosen(kTargets);
  for (auto _ : state) {
    SharedColumns columns(c.k, c.k);
    ParallelFor(kTargets, static_cast<int>(state.range(0)), [&](int64_t q) {
      const auto i = static_cast<size_t>(q);
      chosen[i] = Select({c.rows, std::span(targets).subspan(i * d, d), c.k, c.d, &columns}, {});
    });
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * kTargets);
}
BENCHMARK(SharedPool)->Arg(1)->Arg(2)->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime()->UseRealTime();

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

// The same on exact products; one to three columns at once (the time of all).
void GramColumns(benchmark::State& state) {
  const auto kernels = SupportedKernels();
  const auto variant = static_cast<size_t>(state.range(0));
  const auto count = static_cast<int>(state.range(1));
  if (variant >= kernels.size()) {
    state.SkipWithError("this CPU lacks the instruction set");
    return;
  }
  const GoldenCase& c = Cases()[0];
  const std::vector<double> target(c.target.begin(), c.target.end());
  std::vector<double> out(c.k), second(c.k), third(c.k);
  const double* const v[] = {target.data(), target.data(), target.data()};
  double* const to[] = {out.data(), second.data(), third.data()};
  for (auto _ : state) {
    kernels[variant]->gram_columns(c.rows.data(), c.k, c.d, v, count, to);
    benchmark::ClobberMemory();
  }
  state.SetLabel(kernels[variant]->name);
}
BENCHMARK(GramColumns)->ArgsProduct({{0, 1, 2}, {1, 2, 3}})->Unit(benchmark::kMicrosecond);

void Rescore(benchmark::State& state) {
  const GoldenCase& c = Cases()[0];
  std::vector<uint64_t> ids(c.k);
  for (int i = 0; i < c.k; ++i) ids[i] = (i * 7919) % 100003;
  for (auto _ : state) benchmark::DoNotOptimize(RescorePool(ids, c.rows, c.target, 150));
}
BENCHMARK(Rescore)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace hullft::select
