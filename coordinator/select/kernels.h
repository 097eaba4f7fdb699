// Inner products in float64 with one fixed order of additions, compiled for several instruction sets that give equal
// bits.
//
// Sixteen lanes: lane l adds the products at l, l + 16, l + 32, ... in that order, each product rounded before it is
// added (no fused multiply-add); then lanes l and l + 8 are added, then l and l + 4, l + 2, l + 1. A wider instruction
// set does more lanes at once and nothing else, so results depend neither on the machine nor on how rows are cut into
// blocks. Letters: K rows, d width. Thread safety: free functions.
#pragma once

#include <vector>

namespace hullft::select {

inline constexpr int kLanes = 16;

struct Kernels {
  const char* name;
  // out[i] = <rows[i], v>: rows float32 [k][d] row-major, widened exactly; v float64 [d]; out float64 [k].
  void (*row_dots)(const float* rows, int k, int d, const double* v, double* out);
  // <a, b> of two float64 vectors [d].
  double (*dot)(const double* a, const double* b, int d);
};

// The widest variant that this CPU runs; chosen once.
const Kernels& BestKernels();
// Every variant that this CPU runs, the plainest first; for tests and benchmarks.
std::vector<const Kernels*> SupportedKernels();

}  // namespace hullft::select
