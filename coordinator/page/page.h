// A report as one HTML file: opens offline, light and dark, on paper, without scripts. Thread safety: free functions.
#pragma once

#include <string>

#include "coordinator/study/figures.h"

namespace hullft::page {

std::string ReportPage(const study::Study& study, const study::Figures& figures);

}  // namespace hullft::page
