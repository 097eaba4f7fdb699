// Adam on flat float32 arrays, with runs of several steps that share one gradient (method.md §5, HullFT's gradient
// reuse).
//
// The arithmetic of one step t (Kingma & Ba 2015, algorithm 1, in the order torch.optim.Adam uses), elementwise:
//   m += (1 - b1) (g - m);  v = b2 v + (1 - b2) g g;  p -= lr / (1 - b1^t) m / (sqrt(v) / sqrt(1 - b2^t) + eps)
// in float32 with IEEE rounding, the scalars in double. A run of r steps reads and writes memory once and has the bits
// of r single steps; bits depend neither on the number of threads nor on the instruction set. Thread safety: free
// functions.
#pragma once

#include <cstdint>
#include <span>

namespace hullft::worker {

struct AdamSettings {
  double learning_rate = 5e-5;
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
};

// One parameter tensor, `size` elements in each array. The arrays must not overlap, except source == weights.
struct AdamSegment {
  const float* source = nullptr;  // the weights before the run: the base's in the first run, else == weights
  float* weights = nullptr;       // the weights after it
  float* m = nullptr;             // first moment
  float* v = nullptr;             // second moment
  const float* gradient = nullptr;
  int64_t size = 0;
};

// Does `steps` >= 1 Adam steps with one gradient, numbers steps_done + 1 to steps_done + steps. With steps_done == 0
// the moments are taken as zero and their memory is not read (it need not be initialised).
void AdamRun(const AdamSettings& settings, int64_t steps_done, int steps, std::span<const AdamSegment> segments,
             int threads);

// The L2 norm of all gradients together, accumulated in double in a fixed order (same bits on any number of threads).
double GradientNorm(std::span<const AdamSegment> segments, int threads);

}  // namespace hullft::worker
