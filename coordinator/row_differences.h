// What two rows of the same query differ by, for `hullft verify`. Thread safety: free functions.
#pragma once

#include <string>
#include <vector>

#include "coordinator/row.h"

namespace hullft::coordinator {

struct RowDifferences {
  std::vector<std::string> fields;  // that differ, with both values
  double scores = 0;                // the largest relative difference of a score
};

// All fields but times and who did it. Everything must be the same bits but the scores (`before`, `after`, `score_at`),
// which may differ by `tolerance`, relative: another machine or number of threads rounds otherwise. 0: the same bits.
RowDifferences Differences(const Row& written, const Row& again, double tolerance);

}  // namespace hullft::coordinator
