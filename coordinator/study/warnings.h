// What a reader must know before believing a report's numbers. Thread safety: free functions.
#pragma once

#include <string>
#include <vector>

#include "coordinator/study/figures.h"

namespace hullft::study {

// One sentence each; figures.warnings is not looked at.
std::vector<std::string> WarningsOf(const Study& study, const Figures& figures);

}  // namespace hullft::study
