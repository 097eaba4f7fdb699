// The counts with the least rounding loss, by branch and bound: what geometric integerization (integerize.h) is
// measured against. Exponential in the worst case; meant for small N and m. Letters: m support size, N multiset size.
// Thread safety: free functions, reentrant.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "coordinator/select/integerize.h"

namespace hullft::select {

// Losses nearer than this count as equal.
inline constexpr double kExactTolerance = 1e-12;

// counts >= 0 with sum n and L(c) within kExactTolerance of the least, starting from `counts` (sum n), which are
// returned when nothing is better by more. Nothing when that takes more than max_nodes partial counts. Depends on its
// input alone, not on time. O(m) per node, O(m^3) to begin with.
std::optional<std::vector<int>> IntegerizeExactly(const SupportGeometry& geometry, std::vector<int> counts, int n,
                                                  int64_t max_nodes);

}  // namespace hullft::select
