// An iteration of Frank-Wolfe over the whole corpus on one shard, for 16 queries over 200,000 x 384, beside one sgemm
// of that shape on the same threads. The requirement: at most 1.5 times as long. Run:
// build/release/tests/bench/global_bench
#include <benchmark/benchmark.h>

#include <cmath>
#include <random>

#include "common/parallel.h"
#include "common/blas.h"
#include "coordinator/oracle.h"

namespace hullft::coordinator {
namespace {

constexpr int kRows = 200'000, kDim = 384, kQueries = 16, kSteps = 10;

// Unit vectors near a common direction, as embeddings of text are.
std::vector<float> UnitRows(int rows, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal(0.7f, 1);
  std::vector<float> values(static_cast<size_t>(rows) * kDim);
  for (size_t i = 0; i < values.size(); i += kDim) {
    double square = 0;
    for (size_t j = i; j < i + kDim; ++j) {
      values[j] = normal(random);
      square += static_cast<double>(values[j]) * values[j];
    }
    for (size_t j = i; j < i + kDim; ++j) values[j] = static_cast<float>(values[j] / std::sqrt(square));
  }
  return values;
}

struct Data {
  std::vector<float> rows = UnitRows(kRows, 1), targets = UnitRows(kQueries, 2);
  std::vector<index::SequenceId> ids{kRows};
  Data() {
    for (size_t i = 0; i < ids.size(); ++i) ids[i].value = i;
  }
  static const Data& Get() {
    static const Data data;
    return data;
  }
};

void OneProduct(benchmark::State& state) {
  const Data& data = Data::Get();
  std::vector<float> scores(static_cast<size_t>(kRows) * kQueries);
  const int before = MKL_Set_Num_Threads_Local != nullptr ? MKL_Set_Num_Threads_Local(UsableCores()) : 0;
  const float one = 1, zero = 0;
  for (auto _ : state) {
    sgemm_("T", "N", &kRows, &kQueries, &kDim, &one, data.rows.data(), &kDim, data.targets.data(), &kDim, &zero,
           scores.data(), &kRows);
    benchmark::ClobberMemory();
  }
  if (MKL_Set_Num_Threads_Local != nullptr) MKL_Set_Num_Threads_Local(before);
}
BENCHMARK(OneProduct)->Unit(benchmark::kMillisecond)->UseRealTime()->MinTime(2);

// The oracle and the step of all queries, the first kSteps iterations of fresh runs again and again.
void Iteration(benchmark::State& state) {
  const Data& data = Data::Get();
  const Oracle oracle({{index::EmbeddingRows::Of(data.rows, kDim), data.ids}}, kDim, UsableCores());
  std::vector<select::Trajectory> runs;
  int step = kSteps;
  for (auto _ : state) {
    if (step == kSteps) {
      step = 0;
      runs.clear();
      for (size_t q = 0; q < kQueries; ++q) {
        runs.emplace_back(std::span(data.targets).subspan(q * kDim, kDim),
                          select::FrankWolfeOptions{.n = 1000, .max_iter = 1000, .tol = 0});
      }
    }
    std::vector<const select::Trajectory*> asking;
    for (const select::Trajectory& run : runs) asking.push_back(&run);
    const std::vector<OracleAnswer> answers = oracle.Ask(asking);
    for (size_t q = 0; q < runs.size(); ++q) runs[q].Take(answers[q].id, answers[q].row);
    ++step;
  }
}
BENCHMARK(Iteration)->Unit(benchmark::kMillisecond)->UseRealTime()->MinTime(2);

}  // namespace
}  // namespace hullft::coordinator
