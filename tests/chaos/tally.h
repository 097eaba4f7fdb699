// What chaos did to runs and how they came through: for each kind of fault how often it was asked for, struck, and was
// survived (the round's table is that of an undisturbed run), and the time from a strike to the next row of the
// journal, a new start of the run included where one was needed.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace hullft::chaos {

class Tally {
 public:
  explicit Tally(std::vector<std::string> names) : names_(std::move(names)), kinds_(names_.size()) {}

  void Asked(size_t kind) { ++kinds_[kind].asked; }
  void Struck(size_t kind) {
    ++kinds_[kind].struck;
    struck_in_round_.push_back(kind);
    open_ = {kind, Clock::now()};
  }
  // The fault is over only now (a stopped process goes on, there is room on the disk).
  void Over() {
    if (open_) open_->since = Clock::now();
  }
  // A row has come: the run has recovered from the last strike.
  void RowCame() {
    if (!open_) return;
    kinds_[open_->kind].seconds.push_back(std::chrono::duration<double>(Clock::now() - open_->since).count());
    open_.reset();
  }
  void RoundIsOver(bool survived) {
    for (const size_t kind : struck_in_round_) kinds_[kind].survived += survived ? 1 : 0;
    struck_in_round_.clear();
    open_.reset();
  }

  int struck(size_t kind) const { return kinds_[kind].struck; }
  // A line for each kind, as docs/reliability.md has it.
  void Print() const {
    fmt::print("| fault | asked for | struck | survived | s to the next row: median | most |\n");
    for (size_t k = 0; k < kinds_.size(); ++k) {
      const Kind& kind = kinds_[k];
      std::vector<double> seconds = kind.seconds;
      std::ranges::sort(seconds);
      const std::string times = seconds.empty()
                                    ? std::string("| |")
                                    : fmt::format("{:.2f} | {:.2f} |", seconds[seconds.size() / 2], seconds.back());
      fmt::print("| {} | {} | {} | {} | {}\n", names_[k], kind.asked, kind.struck, kind.survived, times);
    }
  }

 private:
  using Clock = std::chrono::steady_clock;
  struct Kind {
    int asked = 0, struck = 0, survived = 0;
    std::vector<double> seconds;
  };
  struct Open {
    size_t kind;
    Clock::time_point since;
  };
  const std::vector<std::string> names_;
  std::vector<Kind> kinds_;
  std::vector<size_t> struck_in_round_;
  std::optional<Open> open_;  // the last strike, while no row has come since
};

}  // namespace hullft::chaos
