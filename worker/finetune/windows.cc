#include "worker/finetune/windows.h"

#include <algorithm>

#include "common/error.h"

namespace hullft::worker {

std::vector<Window> RollingWindows(std::span<const int32_t> tokens, int32_t prefix_token, int64_t max_length) {
  HULLFT_CHECK(max_length >= 1);
  std::vector<Window> windows;
  const auto size = static_cast<int64_t>(tokens.size());
  if (size == 0) return windows;
  const int64_t first = std::min(max_length, size);
  Window window;
  window.inputs.push_back(prefix_token);
  window.inputs.insert(window.inputs.end(), tokens.begin(), tokens.begin() + first - 1);
  window.targets.assign(tokens.begin(), tokens.begin() + first);
  windows.push_back(std::move(window));
  for (int64_t done = first; done < size;) {
    const int64_t end = std::min(size, done + max_length);
    Window next;
    next.inputs.assign(tokens.begin() + (end - 1 - max_length), tokens.begin() + (end - 1));
    next.targets.assign(tokens.begin() + done, tokens.begin() + end);
    windows.push_back(std::move(next));
    done = end;
  }
  return windows;
}

Window FirstWindow(std::span<const int32_t> tokens, int64_t max_length) {
  const int64_t size = std::min(max_length, static_cast<int64_t>(tokens.size()));
  if (size < 2) return {};
  return {{tokens.begin(), tokens.begin() + size - 1}, {tokens.begin() + 1, tokens.begin() + size}};
}

}  // namespace hullft::worker
