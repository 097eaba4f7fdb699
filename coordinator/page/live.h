// The page about a run that goes on (coordinator/live_page.h serves it): what `hullft status` prints, as HTML without
// scripts. Every text is escaped. Thread safety: free functions.
#pragma once

#include <string>

#include "coordinator/run_status.h"

namespace hullft::page {

// run: its folder. results: the table so far as plain text; "": no row yet.
std::string LiveHtml(const coordinator::RunStatus& status, const std::string& run, const std::string& results);

}  // namespace hullft::page
