// Iterations allocate nothing: the number of allocations of a run does not depend on how many it does.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "coordinator/select/kernels.h"
#include "coordinator/select/pool_point.h"
#include "tests/select/random_pool.h"

namespace {
std::atomic<int64_t> allocations{0};
}

void* operator new(size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, size_t) noexcept {
  std::free(memory);
}

namespace hullft::select {
namespace {

int64_t Allocations(const FrankWolfeProblem& problem, const FrankWolfeOptions& options, Workspace* workspace,
                    int* iterations) {
  const int64_t before = allocations;
  *iterations = RunOnPool(problem, options, workspace).iterations;
  return allocations - before;
}

TEST(Allocation, NoneInsideIterations) {
  const RandomPool random(5, 120, 60, true);
  const std::vector<double> target(random.target.begin(), random.target.end());
  std::vector<double> tx(static_cast<size_t>(random.k));
  BestKernels().row_dots(random.rows.data(), random.k, random.d, target.data(), tx.data());
  const FrankWolfeProblem problem{random.rows, target, tx, random.k, random.d};
  for (const Variant variant : {Variant::kReference, Variant::kAway, Variant::kPairwise, Variant::kCorrective}) {
    SCOPED_TRACE(VariantName(variant));
    FrankWolfeOptions options{.n = 1000, .tol = 0, .variant = variant};
    Workspace workspace;
    int few = 0, many = 0;
    options.max_iter = 200;
    Allocations(problem, options, &workspace, &many);  // the workspace grows
    const int64_t longer = Allocations(problem, options, &workspace, &many);
    options.max_iter = 3;
    const int64_t shorter = Allocations(problem, options, &workspace, &few);
    EXPECT_EQ(few, 3);
    EXPECT_GT(many, 10);
    EXPECT_EQ(longer, shorter) << many << " iterations";
  }
}

}  // namespace
}  // namespace hullft::select
