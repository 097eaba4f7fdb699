// Scores against a sum over windows that each go through the model alone, in double precision.
#include "worker/finetune/scoring.h"

#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include "worker/models/id_tensor.h"

namespace hullft::worker {
namespace {

double Alone(LanguageModel& model, const Window& window) {
  const c10::NoGradGuard no_grad;
  const at::Tensor p = at::log_softmax(model.Logits(IdTensor(window.inputs)).to(at::kDouble), 1);
  double sum = 0;
  const size_t skipped = window.inputs.size() - window.targets.size();
  for (size_t i = 0; i < window.targets.size(); ++i) {
    sum += p[static_cast<int64_t>(skipped + i)][window.targets[i]].item<double>();
  }
  return sum;
}

class Scores : public ::testing::TestWithParam<const char*> {};

TEST_P(Scores, WindowsThatGoTogetherAreEachAlone) {
  const auto model = LoadLanguageModel(std::string(HULLFT_GOLDENS) + "/finetune/" + GetParam());
  HeadLoss head(2);
  constexpr std::pair<int, int64_t> kCases[] = {{1, 16},   {15, 16},   {16, 16}, {17, 16},
                                                {100, 16}, {100, 100}, {17, 2},  {1100, 8}};
  for (const auto& [size, window] : kCases) {  // the last: more windows than go together at once
    SCOPED_TRACE(std::to_string(size) + " tokens, windows of " + std::to_string(window));
    std::vector<int32_t> tokens;
    for (int i = 0; i < size; ++i) tokens.push_back((i * i + 7 * i) % 1000);
    const Score score = ScoreDocument(*model, head, {tokens, size}, 0, window);
    double expected = 0;
    const std::vector<Window> windows = RollingWindows(tokens, 0, window);
    for (const Window& alone : windows) expected += Alone(*model, alone);
    EXPECT_EQ(score.windows, static_cast<int64_t>(windows.size()));
    EXPECT_NEAR(score.log_likelihood, expected, 2e-6 * std::abs(expected));
    if (size < 2) continue;
    EXPECT_NEAR(score.log_likelihood_first_window, Alone(*model, FirstWindow(tokens, window)), 1e-4);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Scores, ::testing::Values("gpt2", "llama_gqa_tied"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace hullft::worker
