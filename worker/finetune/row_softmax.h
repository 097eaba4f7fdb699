// Cross-entropy over rows of logits in one visit: log-probabilities of the targets, and the gradient in place.
//
// n rows, V columns, row-major. Each row is the work of one thread: bits depend neither on the number of threads nor on
// the instruction set. The exponential is a polynomial with a relative error below 2e-7 (Cephes expf); sums of a row
// are float over 512 columns, then double. Thread safety: free functions.
#pragma once

#include <cstdint>

namespace hullft::worker {

// log_probabilities[i] = log softmax(row i)[targets[i]]. Targets must lie in [0, V).
void LogProbabilityRows(const float* logits, int64_t n, int64_t V, const int32_t* targets, double* log_probabilities,
                        int threads);

// The same, and logits[i][k] = scale * (softmax(row i)[k] - (k == targets[i])).
void CrossEntropyRows(float* logits, int64_t n, int64_t V, const int32_t* targets, float scale,
                      double* log_probabilities, int threads);

}  // namespace hullft::worker
