#include "worker/finetune/scoring.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "common/error.h"
#include "worker/models/id_tensor.h"

namespace hullft::worker {
namespace {

// Tokens of windows that go through the model together. Windows of a half of it or more go alone; measured on a CPU,
// a token of a window of 128 costs a fifth more than one of 1,024, and more together gains nothing.
constexpr int64_t kTokensOnCpu = 1024, kTokensOnGpu = 16384;

// [B, T] of windows that read equally many tokens.
at::Tensor IdMatrix(std::span<const Window> windows, at::Device device) {
  std::vector<int32_t> ids;
  for (const Window& window : windows) ids.insert(ids.end(), window.inputs.begin(), window.inputs.end());
  return IdTensor(ids, device).view({static_cast<int64_t>(windows.size()), -1});
}

// Of all windows together; they read equally many tokens each.
double LogLikelihood(LanguageModel& model, HeadLoss& head, std::span<const Window> windows) {
  const at::Tensor hidden = model.Hidden(IdMatrix(windows, model.flat().device()), 0.0);
  const auto length = static_cast<int64_t>(windows[0].inputs.size());
  std::vector<at::Tensor> rows;
  std::vector<int32_t> targets;
  for (int64_t i = 0; const Window& window : windows) {
    const auto scored = static_cast<int64_t>(window.targets.size());
    rows.push_back(hidden.narrow(0, ++i * length - scored, scored));
    targets.insert(targets.end(), window.targets.begin(), window.targets.end());
  }
  const double sum = head.LogLikelihood(rows.size() == 1 ? rows[0] : at::cat(rows), model.HeadWeight(), targets);
  if (!std::isfinite(sum)) {
    throw Error(Code::kNumeric, "the log-likelihood of a scored document is not finite",
                "the weights hold NaN or infinity, or a smaller learning rate is needed");
  }
  return sum;
}

}  // namespace

Score ScoreDocument(LanguageModel& model, HeadLoss& head, const EvalDocument& document, int32_t prefix_token,
                    int64_t max_length) {
  const c10::NoGradGuard no_grad;
  Score score;
  score.tokens = static_cast<int64_t>(document.tokens.size());
  score.bytes = document.bytes;
  const std::vector<Window> windows = RollingWindows(document.tokens, prefix_token, max_length);
  score.windows = static_cast<int64_t>(windows.size());
  const int64_t tokens = model.flat().is_cpu() ? kTokensOnCpu : kTokensOnGpu;
  const auto together = static_cast<size_t>(std::max<int64_t>(1, tokens / max_length));
  for (size_t i = 0; i < windows.size(); i += together) {  // where there are several, all read max_length tokens
    const std::span<const Window> some = std::span(windows).subspan(i, std::min(together, windows.size() - i));
    score.log_likelihood += LogLikelihood(model, head, some);
  }
  const Window first = FirstWindow(document.tokens, max_length);
  if (!first.targets.empty()) score.log_likelihood_first_window = LogLikelihood(model, head, {&first, 1});
  if (document.bytes && *document.bytes > 0) {
    const double bits = -1 / (std::numbers::ln2 * static_cast<double>(*document.bytes));
    score.bpb = score.log_likelihood * bits;
    if (!first.targets.empty()) score.bpb_first_window = score.log_likelihood_first_window * bits;
  }
  return score;
}

}  // namespace hullft::worker
