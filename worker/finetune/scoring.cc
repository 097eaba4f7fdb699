#include "worker/finetune/scoring.h"

#include <cmath>
#include <numbers>

#include "common/error.h"

namespace hullft::worker {
namespace {

double LogLikelihood(LanguageModel& model, HeadLoss& head, const Window& window) {
  const at::Tensor hidden = model.Hidden(IdTensor(window.inputs, model.flat().device()), 0.0);
  const auto scored = static_cast<int64_t>(window.targets.size());
  const double sum =
      head.LogLikelihood(hidden.narrow(0, hidden.size(0) - scored, scored), model.HeadWeight(), window.targets);
  if (!std::isfinite(sum)) {
    throw Error(Code::kNumeric, "the log-likelihood of a scored document is not finite",
                "the weights hold NaN or infinity, or a smaller learning rate is needed");
  }
  return sum;
}

}  // namespace

at::Tensor IdTensor(std::span<const int32_t> tokens, at::Device device) {
  at::Tensor ids = at::empty({static_cast<int64_t>(tokens.size())}, at::TensorOptions(at::kLong));
  std::copy(tokens.begin(), tokens.end(), ids.mutable_data_ptr<int64_t>());
  return ids.to(device);
}

Score ScoreDocument(LanguageModel& model, HeadLoss& head, const EvalDocument& document, int32_t prefix_token,
                    int64_t max_length) {
  const c10::NoGradGuard no_grad;
  Score score;
  score.tokens = static_cast<int64_t>(document.tokens.size());
  score.bytes = document.bytes;
  for (const Window& window : RollingWindows(document.tokens, prefix_token, max_length)) {
    score.log_likelihood += LogLikelihood(model, head, window);
    ++score.windows;
  }
  const Window first = FirstWindow(document.tokens, max_length);
  if (!first.targets.empty()) score.log_likelihood_first_window = LogLikelihood(model, head, first);
  if (document.bytes && *document.bytes > 0) {
    const double bits = -1 / (std::numbers::ln2 * static_cast<double>(*document.bytes));
    score.bpb = score.log_likelihood * bits;
    if (!first.targets.empty()) score.bpb_first_window = score.log_likelihood_first_window * bits;
  }
  return score;
}

}  // namespace hullft::worker
