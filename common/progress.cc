#include "common/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <utility>

namespace hullft {
using Clock = std::chrono::steady_clock;

Progress::Progress(std::string what, std::string unit, int64_t total, int64_t done, bool enabled)
    : what_(std::move(what)),
      unit_(std::move(unit)),
      total_(total),
      done_(done),
      start_done_(done),
      enabled_(enabled),
      terminal_(::isatty(STDERR_FILENO) != 0),
      start_(Clock::now()),
      last_(start_) {}

Progress::~Progress() {
  const std::lock_guard lock(mutex_);
  Draw(true);
}

void Progress::Add(int64_t n) {
  const std::lock_guard lock(mutex_);
  done_ += n;
  const auto interval = terminal_ ? std::chrono::milliseconds(200) : std::chrono::milliseconds(10000);
  if (Clock::now() - last_ >= interval) Draw(false);
}

void Progress::SetTotal(int64_t total) {
  const std::lock_guard lock(mutex_);
  total_ = total;
}

void Progress::Note(std::string note) {
  const std::lock_guard lock(mutex_);
  note_ = std::move(note);
}

void Progress::Draw(bool final) {
  if (!enabled_ || (final && done_ == 0 && !drawn_)) return;
  last_ = Clock::now();
  const double seconds = std::chrono::duration<double>(last_ - start_).count();
  const double rate = seconds > 0 ? static_cast<double>(done_ - start_done_) / seconds : 0;
  std::string line = what_ + " ";
  if (total_ > 0) {
    if (terminal_) {
      const auto filled = static_cast<size_t>(24 * std::min(done_, total_) / total_);
      line += "[" + std::string(filled, '#') + std::string(24 - filled, '.') + "] ";
    }
    line += fmt::format("{}/{} {} ({}%)", done_, total_, unit_, 100 * done_ / total_);
  } else {
    line += fmt::format("{} {}", done_, unit_);
  }
  line += fmt::format(", {:.{}f}/s", rate, rate < 10 ? 2 : 0);
  if (final) {
    line += ", took " + FormatDuration(seconds);
  } else if (total_ > 0 && rate > 0) {
    line += ", " + FormatDuration(static_cast<double>(total_ - done_) / rate) + " left";
  }
  if (!note_.empty()) line += ", " + note_;
  if (terminal_) {
    std::fprintf(stderr, "\r\x1b[K%s%s", line.c_str(), final ? "\n" : "");
  } else {
    std::fprintf(stderr, "%s\n", line.c_str());
  }
  std::fflush(stderr);  // ignored: a line of progress that nobody can see
  drawn_ = true;
}

std::string FormatDuration(double seconds) {
  if (seconds < 60) return fmt::format("{:.1f} s", seconds);
  const int64_t whole = std::llround(seconds);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole % 3600 / 60);
}

std::string FormatBytes(double bytes) {
  if (bytes < 1000) return fmt::format("{:.0f} B", bytes);
  const char* units[] = {"KB", "MB", "GB", "TB", "PB"};
  int u = -1;
  while (bytes >= 999.95 && u < 4) bytes /= 1000, ++u;
  return fmt::format("{:.1f} {}", bytes, units[u]);
}

}  // namespace hullft
