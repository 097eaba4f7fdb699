// Inner products and other loops of the selection in float64 with one fixed order of additions, compiled for several
// instruction sets that give equal bits.
//
// An inner product has sixteen lanes: lane l adds the products at l, l + 16, l + 32, ... in that order; then lanes l
// and l + 8 are added, then l and l + 4, l + 2, l + 1. Each product is rounded before it is added. That is no work
// where both factors are float32 numbers: their product has at most 48 bits and is exact in float64, so gram_columns
// may use fused multiply-add and still gives the bits of the definition; the others must not. A wider instruction set
// does more lanes at once and nothing else, so results depend neither on the machine nor on how rows are cut into
// blocks.
//
// Letters: K rows, d width. Pointers do not alias. Thread safety: free functions.
#pragma once

#include <vector>

namespace hullft::select {

inline constexpr int kLanes = 16;
inline constexpr int kColumnsAtOnce = 3;

struct Kernels {
  const char* name;
  // out[i] = <rows[i], v>: rows float32 [k][d] row-major, widened exactly; v float64 [d]; out float64 [k].
  void (*row_dots)(const float* rows, int k, int d, const double* v, double* out);
  // The same for 1 to kColumnsAtOnce vectors v[0..count) [d] of float64 that hold float32 numbers, in one pass over the
  // rows: out[c][i] = <rows[i], v[c]>.
  void (*gram_columns)(const float* rows, int k, int d, const double* const* v, int count, double* const* out);
  // <a, b> of two float64 vectors [d].
  double (*dot)(const double* a, const double* b, int d);
  // out += weight x: x float32 [d], out float64 [d].
  void (*add_scaled)(double weight, const float* x, int d, double* out);
  // x = keep x + gamma y, both float64 [k].
  void (*blend)(double keep, double gamma, const double* y, int k, double* x);
  // The first i with the largest a[i] - b[i], float64 [k]; k >= 1.
  int (*largest_difference)(const double* a, const double* b, int k);
};

// The widest variant that this CPU runs; chosen once.
const Kernels& BestKernels();
// Every variant that this CPU runs, the plainest first; for tests and benchmarks.
std::vector<const Kernels*> SupportedKernels();

}  // namespace hullft::select
