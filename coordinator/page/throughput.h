// The page of `hullft bench throughput`: how many queries a second, how long each takes, and where more load only makes
// them wait. Thread safety: values, free functions.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace hullft::page {

// Stages of a query as in its row; waiting: for a round or a worker; whole: from its arrival to its result.
inline constexpr std::array<const char*, 9> kLatencies = {"embed", "search",      "select",  "fetch", "score before",
                                                          "tune",  "score after", "waiting", "whole"};
inline constexpr size_t kWaiting = 7, kWhole = 8;

struct Quantiles {
  double p50 = 0, p95 = 0, p99 = 0;  // ms
};

// One measured run.
struct LoadPoint {
  int workers = 1;
  double offered = 0;  // queries that arrived a second; 0: all were there from the start, and none of them waited
  int64_t queries = 0;
  double rate = 0;                              // queries a second
  double busy = 0;                              // mean share of the workers' time
  std::optional<double> joules;                 // of the CPU packages, a query
  std::array<Quantiles, kLatencies.size()> ms;  // waiting and whole only where queries arrived
};

struct Throughput {
  std::vector<std::pair<std::string, std::string>> facts;
  std::vector<LoadPoint> scaling;     // by workers, all queries there from the start
  std::vector<LoadPoint> saturation;  // by offered, of the most workers
  std::vector<std::string> warnings;
};

// json: the same numbers, for machines.
std::string ThroughputPage(const Throughput& throughput, const std::string& json);

}  // namespace hullft::page
