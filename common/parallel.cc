#include "common/parallel.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <exception>
#include <fstream>
#include <string>

namespace hullft {

int UsableCores() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  int cores = static_cast<int>(std::thread::hardware_concurrency());
  if (::sched_getaffinity(0, sizeof mask, &mask) == 0) cores = CPU_COUNT(&mask);
  std::ifstream quota("/sys/fs/cgroup/cpu.max");  // "max 100000" or "200000 100000"
  std::string limit;
  double period = 0;
  if (quota >> limit >> period && limit != "max" && period > 0) {
    cores = std::min(cores, static_cast<int>(std::ceil(std::stod(limit) / period)));
  }
  return std::max(cores, 1);
}

void ParallelFor(int64_t n, int threads, const std::function<void(int64_t)>& body) {
  // Blocks where there are many: threads meet at the counter less often, and less often at two results in one line of
  // the cache. At the end a thread waits for a 64th of its share at most.
  const int64_t block = std::max<int64_t>(1, n / (std::max(threads, 1) * int64_t{64}));
  std::atomic<int64_t> next{0};
  std::atomic<bool> failed{false};
  std::mutex mutex;
  std::exception_ptr failure;
  const auto work = [&] {
    try {
      for (int64_t begin = next.fetch_add(block); begin < n; begin = next.fetch_add(block)) {
        for (int64_t i = begin; i < std::min(begin + block, n); ++i) {
          if (failed) return;
          body(i);
        }
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
      failed = true;
    }
  };
  std::vector<std::jthread> pool;
  for (int64_t t = 1; t < std::min<int64_t>(threads, n); ++t) pool.emplace_back(work);
  work();
  pool.clear();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace hullft
