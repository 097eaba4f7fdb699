// What a run says of itself while it goes on: status.json of its folder, for `hullft status` on any machine that sees
// the folder, and metrics.prom, for Prometheus (docs/formats/journal.md). Thread safety: values, free functions.
#pragma once

#include <filesystem>
#include <string>

#include "coordinator/run_display.h"

namespace hullft::coordinator {

inline constexpr double kStatusInterval = 5;  // s between two writings
inline constexpr double kLiveInterval = 0.5;  // s between two states of the page (live_page.h)

struct RunStatus {
  std::string state = "running";  // or "paused" (the disk is almost full), "finished", "stopped"
  std::string host;               // of rank 0
  double updated = 0;             // Unix time in s, by that host's clock
  RunView view;
};

double UnixSeconds();  // now, by this host's clock

std::string StatusJson(const RunStatus& status);
// Throws kData, naming path, for what StatusJson did not write.
RunStatus ParseStatus(const std::string& json, const std::filesystem::path& path);

// The text exposition format: gauges and counters named hullft_..., as node_exporter's textfile collector reads them.
// run: the label of all of them.
std::string PrometheusText(const RunStatus& status, const std::string& run);

}  // namespace hullft::coordinator
