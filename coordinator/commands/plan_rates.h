// The rates of hullft plan: options whose defaults are docs/performance.md's and that measured figures may replace.
// Not thread-safe.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/figures.h"
#include "common/options.h"
#include "coordinator/plan.h"

namespace hullft::coordinator {

class PlanRates {
 public:
  // Adds the group of rates to the table. Both must outlive this object.
  PlanRates(OptionTable* table, PlanSettings* settings);
  // After the table was parsed: puts measured figures in the place of defaults; later files win, flags win over all.
  // Returns a line for each figure taken. Throws kData for a file that hullft bench did not write or that has none of
  // the figures.
  std::vector<std::string> TakeMeasured() const;

 private:
  struct Rate {
    const Option* option;
    double* value;
    std::function<std::optional<double>(const Figures&)> measured;
  };
  std::vector<std::string> files_;
  std::vector<Rate> rates_;
};

}  // namespace hullft::coordinator
