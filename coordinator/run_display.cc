#include "coordinator/run_display.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "common/progress.h"

namespace hullft::coordinator {
namespace {

constexpr size_t kWorkerLines = 8;  // more workers get a digit each

std::string Counts(const RunView& view) {
  std::string text = fmt::format("{}/{} queries", view.done, view.total);
  if (view.total > 0) text += fmt::format(" ({}%)", 100 * view.done / view.total);
  if (view.failed > 0) text += fmt::format(", {} failed", view.failed);
  const double rate = Rate(view);
  text += fmt::format(", {:.{}f}/s", rate, rate < 10 ? 2 : 0);
  if (const auto left = RemainingSeconds(view)) text += ", " + FormatDuration(*left) + " left";
  return text;
}

std::string Queues(const RunView& view) {
  std::string text = fmt::format("{} in rounds, {} ready, {} in flight", view.in_rounds, view.ready, view.in_flight);
  if (view.late > 0) text += fmt::format(", {} late", view.late);
  return text;
}

std::string Busy(const RunView& view) {
  if (view.workers.empty()) return "no workers";
  double sum = 0;
  for (const WorkerView& worker : view.workers) sum += worker.busy;
  const auto [least, most] = std::ranges::minmax_element(view.workers, {}, &WorkerView::busy);
  std::string text = fmt::format("workers {:.0f}% busy", 100 * sum / static_cast<double>(view.workers.size()));
  if (view.workers.size() > 1) {
    text += fmt::format(" (rank {} {:.0f}% to rank {} {:.0f}%)", least->rank, 100 * least->busy, most->rank,
                        100 * most->busy);
  }
  const auto silent = std::ranges::count_if(view.workers, &WorkerView::silent);
  if (silent > 0) text += fmt::format(", {} past their deadline", silent);
  return text;
}

std::string Bar(const RunView& view) {
  constexpr int64_t kLength = 24;
  const auto filled = static_cast<size_t>(view.total > 0 ? kLength * std::min(view.done, view.total) / view.total : 0);
  return "[" + std::string(filled, '#') + std::string(kLength - filled, '.') + "] ";
}

// 0: under 10% busy, 9: 90% and more, x: past its deadline.
char Digit(const WorkerView& worker) {
  if (worker.silent) return 'x';
  return static_cast<char>('0' + std::clamp(static_cast<int>(10 * worker.busy), 0, 9));
}

}  // namespace

std::string StageText(const WorkerView& worker) {
  if (worker.silent) return "past its deadline";
  if (worker.in_flight == 0) return "idle";
  if (!worker.event) return "working";
  switch (worker.event->stage) {
    case Stage::kReceived:
      return "received";
    case Stage::kScoringBefore:
      return "scoring before";
    case Stage::kTuning:
      return fmt::format("step {} of {}", worker.event->step, worker.event->steps);
    case Stage::kScoringAfter:
      return "scoring after";
  }
  return "working";
}

double Rate(const RunView& view) {
  return view.seconds > 0 ? static_cast<double>(view.done - view.done_before) / view.seconds : 0;
}

std::optional<double> RemainingSeconds(const RunView& view) {
  const double rate = Rate(view);
  if (rate <= 0) return std::nullopt;
  return static_cast<double>(std::max<int64_t>(0, view.total - view.done)) / rate;
}

std::string LogLine(const RunView& view) {
  return Counts(view) + ", " + Queues(view) + ", " + Busy(view);
}

std::vector<std::string> Screen(const RunView& view, int width) {
  const auto columns = static_cast<size_t>(std::max(width, 20));
  std::vector<std::string> lines = {Bar(view) + Counts(view), Queues(view) + ", " + Busy(view)};
  if (view.workers.size() <= kWorkerLines) {
    for (const WorkerView& worker : view.workers)
      lines.push_back(fmt::format("  rank {:<4} {:>3.0f}%  {}", worker.rank, 100 * worker.busy, StageText(worker)));
  } else {
    std::string digits;
    for (const WorkerView& worker : view.workers) digits += Digit(worker);
    const std::string name = "  busy ";
    const size_t room = columns - name.size();
    for (size_t at = 0; at < digits.size(); at += room)
      lines.push_back((at == 0 ? name : std::string(name.size(), ' ')) + digits.substr(at, room));
  }
  for (std::string& line : lines) line.resize(std::min(line.size(), columns));
  return lines;
}

double LogInterval(double seconds) {
  return std::clamp(seconds / 50, 10.0, 600.0);
}

RunDisplay::RunDisplay(bool enabled) : enabled_(enabled), terminal_(::isatty(STDERR_FILENO) != 0) {}

bool RunDisplay::Due(double seconds) const {
  if (!enabled_) return false;
  return seconds - last_.value_or(0) >= (terminal_ ? 0.2 : LogInterval(seconds));
}

void RunDisplay::Show(const RunView& view) {
  if (Due(view.seconds)) Draw(view);
}

void RunDisplay::Finish(const RunView& view) {
  if (!enabled_) return;
  Draw(view);
  lines_ = 0;
}

void RunDisplay::Draw(const RunView& view) {
  last_ = view.seconds;
  if (!terminal_) {
    std::fprintf(stderr, "%s\n", LogLine(view).c_str());
    std::fflush(stderr);  // ignored: a line of progress that nobody can see
    return;
  }
  winsize size{};
  const int width = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col - 1 : 79;
  std::string text = lines_ > 0 ? fmt::format("\x1b[{}F", lines_) : "";
  const std::vector<std::string> lines = Screen(view, width);
  for (const std::string& line : lines) text += "\x1b[K" + line + "\n";
  lines_ = lines.size();
  std::fputs(text.c_str(), stderr);
  std::fflush(stderr);  // ignored: a line of progress that nobody can see
}

}  // namespace hullft::coordinator
