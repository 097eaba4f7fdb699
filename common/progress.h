// Progress of long work, on standard error: a bar that redraws itself on a terminal, a plain line now and then (every
// 10 s at most) elsewhere. Shows done/total, per cent, rate and remaining time, plus a free text. Thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>

namespace hullft {

class Progress {
 public:
  // what: "embedding"; unit: "sequences"; total: 0 when unknown; done: what an earlier run had finished already (does
  // not count into the rate). enabled = false (a rank other than 0, --quiet) shows nothing.
  Progress(std::string what, std::string unit, int64_t total, int64_t done = 0, bool enabled = true);
  ~Progress();  // leaves the last state standing on a line of its own
  void Add(int64_t n = 1);
  void SetTotal(int64_t total);
  // A short text at the end of the line, e.g. "queue 3, workers 98% busy".
  void Note(std::string note);

 private:
  void Draw(bool final);
  std::mutex mutex_;
  const std::string what_, unit_;
  int64_t total_, done_;
  const int64_t start_done_;
  std::string note_;
  const bool enabled_, terminal_;
  bool drawn_ = false;
  const std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point last_;
};

// "0.8 s", "12.3 s", "4 min 05 s", "2 h 11 min".
std::string FormatDuration(double seconds);
// "512 B", "1.2 KB", "3.4 MB", "5.6 GB" (powers of 1000).
std::string FormatBytes(double bytes);

}  // namespace hullft
