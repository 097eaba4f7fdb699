#include "coordinator/test_hooks.h"

#include <unistd.h>

#include <charconv>
#include <chrono>
#include <cstdlib>
#include <string_view>
#include <thread>

#include "common/error.h"

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

}  // namespace

TestHooks TestHooks::FromEnvironment() {
  TestHooks hooks;
  if (const char* text = std::getenv("HULLFT_TEST_TASK_MS")) hooks.task_ms = Parse<int>(text, "HULLFT_TEST_TASK_MS");
  if (const char* text = std::getenv("HULLFT_TEST_HANG")) {
    const std::string_view view = text;
    const size_t colon = view.find(':');
    if (colon == std::string_view::npos) throw UsageError("HULLFT_TEST_HANG: '{}' is not RANK:TASK", view);
    hooks.hang_rank = Parse<int>(view.substr(0, colon), "HULLFT_TEST_HANG");
    hooks.hang_task = Parse<int64_t>(view.substr(colon + 1), "HULLFT_TEST_HANG");
  }
  return hooks;
}

void TestHooks::BeforeTask(int rank, int64_t task) const {
  if (task_ms > 0) std::this_thread::sleep_for(std::chrono::milliseconds(task_ms));
  while (rank == hang_rank && task == hang_task) ::pause();
}

}  // namespace hullft::coordinator
