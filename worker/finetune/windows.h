// Which tokens a scoring window reads and which it scores (method.md §6): plain index arithmetic, no Torch.
//
// The rolling windows are those of lm_eval.utils.get_rolling_token_windows(context_len=1) followed by
// make_disjoint_window (lm-evaluation-harness 0.4): every token is scored exactly once; the first window reads the
// prefix token before the document; the last one is moved back so that it keeps as much context as fits.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace hullft::worker {

struct Window {
  std::vector<int32_t> inputs;   // what the model reads, 1 to max_length tokens
  std::vector<int32_t> targets;  // targets[i] is predicted by inputs[inputs.size() - targets.size() + i]
};

// max_length >= 1. No tokens: no windows.
std::vector<Window> RollingWindows(std::span<const int32_t> tokens, int32_t prefix_token, int64_t max_length);

// The HullFT authors' window: the first max_length tokens, the first one not scored. Without targets when fewer than
// two.
Window FirstWindow(std::span<const int32_t> tokens, int64_t max_length);

}  // namespace hullft::worker
