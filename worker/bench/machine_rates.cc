#include "worker/bench/machine_rates.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <limits>

#include "worker/finetune/flat_weights.h"
#include "common/simd.h"
#include "worker/finetune/stage_times.h"
#include "worker/runtime.h"

namespace hullft::worker {
namespace {

constexpr int64_t kTriadElements = int64_t{128} << 20U;  // 512 MB an array

struct Shape {
  int64_t m, k, n;
};
// A large cube, and the products of a GPT-2-small layer and of its head.
constexpr Shape kShapes[] = {
    {2048, 2048, 2048}, {1024, 768, 3072}, {768, 1024, 3072}, {1024, 3072, 768}, {512, 768, 50257}};

std::string CpuInfo(const std::string& field) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(':');
    if (colon != std::string::npos && line.starts_with(field)) return line.substr(std::min(colon + 2, line.size()));
  }
  return "";
}

double Shortest(int repetitions, int threads, BenchClock clock, const std::function<void()>& body) {
  body();  // warms up caches, pages and threads
  double best = std::numeric_limits<double>::infinity();
  for (int r = 0; r < repetitions; ++r) {
    StageClock watch;
    body();
    const StageTime time = watch.Lap();
    best = std::min(best, clock == BenchClock::kWall ? time.wall_ms : time.cpu_ms / threads);
  }
  return best * 1e-3;
}

double BestProduct(at::ScalarType type, int threads, int repetitions, BenchClock clock) {
  double best = 0;
  for (const Shape& s : kShapes) {
    const at::Tensor a = at::randn({s.m, s.k}).to(type), b = at::randn({s.k, s.n}).to(type);
    at::Tensor c = at::empty({s.m, s.n}, a.options());
    const double seconds = Shortest(repetitions, threads, clock, [&] { at::mm_out(c, a, b); });
    best =
        std::max(best, 2e-9 * static_cast<double>(s.m) * static_cast<double>(s.k) * static_cast<double>(s.n) / seconds);
  }
  return best;
}

HULLFT_CLONES void Triad(float* a, const float* b, const float* c, int64_t n) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) a[i] = b[i] + 3.0F * c[i];
}

double TriadBandwidth(int threads, int repetitions, BenchClock clock) {
  const FlatBuffer a(kTriadElements, 0), b(kTriadElements, 1), c(kTriadElements, 2);
  const auto all = [&](const auto& body) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t at = 0; at < kTriadElements; at += kTriadElements / 4096) body(at, kTriadElements / 4096);
  };
  all([&](int64_t at, int64_t n) {
    std::fill_n(b.data() + at, n, 1.0F);
    std::fill_n(c.data() + at, n, 2.0F);
  });
  const double seconds = Shortest(repetitions, threads, clock, [&] {
    all([&](int64_t at, int64_t n) { Triad(a.data() + at, b.data() + at, c.data() + at, n); });
  });
  return 3e-9 * sizeof(float) * static_cast<double>(kTriadElements) / seconds;
}

}  // namespace

std::string Bf16Support() {
  const std::string flags = CpuInfo("flags") + " ";
  if (flags.find(" amx_bf16 ") != std::string::npos) return "AMX";
  return flags.find(" avx512_bf16 ") != std::string::npos ? "AVX512_BF16" : "none";
}

MachineRates MeasureMachine(int threads, int repetitions, BenchClock clock) {
  MachineRates rates;
  rates.cpu = CpuInfo("model name");
  rates.bf16 = Bf16Support();
  CallTorch([&] {
    const IntraOpThreads bound(threads);
    const c10::NoGradGuard no_grad;
    rates.sgemm_gflops = BestProduct(at::kFloat, threads, repetitions, clock);
    rates.bf16_gflops = BestProduct(at::kBFloat16, threads, repetitions, clock);
  });
  rates.triad_gbs = TriadBandwidth(threads, repetitions, clock);
  return rates;
}

}  // namespace hullft::worker
