#include "coordinator/test_hooks.h"

#include <signal.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <cstdlib>
#include <string_view>
#include <thread>

#include "common/error.h"
#include "common/test_faults.h"

namespace hullft::coordinator {
namespace {

template <class Number>
Number Parse(std::string_view text, const char* variable) {
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 0)
    throw UsageError("{}: '{}' is no number from 0", variable, text);
  return number;
}

// "LEFT:RIGHT" in two.
std::pair<std::string_view, std::string_view> Cut(std::string_view text, const char* variable, const char* form) {
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) throw UsageError("{}: '{}' is not {}", variable, text, form);
  return {text.substr(0, colon), text.substr(colon + 1)};
}

}  // namespace

TestHooks TestHooks::FromEnvironment() {
  TestHooks hooks;
  if (const char* text = std::getenv("HULLFT_TEST_TASK_MS")) hooks.task_ms = Parse<int>(text, "HULLFT_TEST_TASK_MS");
  if (const char* text = std::getenv("HULLFT_TEST_HANG")) {
    const auto [rank, task] = Cut(text, "HULLFT_TEST_HANG", "RANK:TASK");
    hooks.hang_rank = Parse<int>(rank, "HULLFT_TEST_HANG");
    hooks.hang_task = Parse<int64_t>(task, "HULLFT_TEST_HANG");
  }
  if (const char* text = std::getenv("HULLFT_TEST_START")) {
    const auto [fault, rank] = Cut(text, "HULLFT_TEST_START", "FAULT:RANK");
    if (fault != "dies" && fault != "hangs") throw UsageError("HULLFT_TEST_START: '{}' is no fault", fault);
    hooks.start_fault = fault;
    hooks.start_rank = Parse<int>(rank, "HULLFT_TEST_START");
  }
  return hooks;
}

void TestHooks::WhileLoading(int rank) const {
  if (rank != start_rank) return;
  if (start_fault == "dies") ::kill(::getpid(), SIGKILL);  // ignored: it ends this process
  while (true) ::pause();
}

void TestHooks::BeforeTask(int rank, int64_t task) const {
  if (task_ms > 0) std::this_thread::sleep_for(std::chrono::milliseconds(task_ms));
  if (rank != hang_rank || task != hang_task) return;
  test_faults::Announce("hang");
  while (true) ::pause();
}

}  // namespace hullft::coordinator
