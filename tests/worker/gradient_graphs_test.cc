// Recorded passes on the CPU: a recorder that keeps what is to be run stands in for CUDA's. What it replays must read
// new tokens from where they are put, and leave loss and gradients of a pass made at once, to the last bit.
#include "worker/finetune/gradient_graphs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <stdexcept>

#include "tests/caught.h"
#include "worker/finetune/lora.h"
#include "worker/finetune/scoring.h"
#include "worker/models/id_tensor.h"
#include "worker/runtime.h"
#include "worker/tuner.h"

namespace hullft::worker {
namespace {

namespace fs = std::filesystem;
const fs::path kModels = fs::path(HULLFT_GOLDENS) / "models";

// Runs nothing while it records, as CUDA does.
class Kept final : public Recorded {
 public:
  explicit Kept(std::function<void()> body) : body_(std::move(body)) {}
  void Replay() override { body_(); }

 private:
  std::function<void()> body_;
};
std::unique_ptr<Recorded> Keep(const std::function<void()>& body) {
  return std::make_unique<Kept>(body);
}

std::vector<int32_t> Tokens(int seed, size_t count) {
  std::vector<int32_t> tokens(count);
  for (size_t i = 0; i < count; ++i)
    tokens[i] = static_cast<int32_t>((7919 * i + 31 * static_cast<size_t>(seed)) % 150);
  return tokens;
}

struct Gradient {
  double loss = 0;
  std::vector<at::Tensor> values;
  bool operator==(const Gradient& other) const {
    return loss == other.loss && std::ranges::equal(values, other.values, [](const at::Tensor& a, const at::Tensor& b) {
             return a.equal(b);
           });
  }
};

Gradient Taken(double loss, FlatParameters& trained) {
  Gradient gradient{loss, {}};
  for (const Parameter& parameter : trained.parameters()) gradient.values.push_back(parameter.value.grad().clone());
  return gradient;
}

// At once, into a loss of its own.
Gradient Direct(LanguageModel& model, FlatWeights& weights, FlatParameters& trained,
                const std::vector<int32_t>& tokens) {
  const std::span<const int32_t> all(tokens);
  const at::Tensor loss = at::zeros({}, at::kDouble);
  GradientPass(model, weights, IdTensor(all.first(all.size() - 1)), IdTensor(all.subspan(1)), loss);
  Gradient gradient = Taken(loss.item<double>(), trained);
  weights.DropGradients();
  return gradient;
}

class GradientGraphsTest : public ::testing::TestWithParam<const char*> {
 protected:
  const IntraOpThreads one_{1};
  const std::unique_ptr<LanguageModel> model_ = LoadLanguageModel(kModels / GetParam());
};

TEST_P(GradientGraphsTest, ReplaysGiveThePassOfTheTokensAtHand) {
  FlatWeights weights(model_.get());
  weights.Reserve();
  GradientGraphs graphs(Keep);
  for (const auto& [seed, length] : {std::pair(1, 20), {2, 33}, {3, 20}, {4, 33}, {5, 20}, {6, 33}, {7, 11}, {8, 20}}) {
    SCOPED_TRACE(seed);
    const std::vector<int32_t> tokens = Tokens(seed, static_cast<size_t>(length));
    const Gradient expected = Direct(*model_, weights, *model_, tokens);
    const std::optional<double> loss = graphs.Compute(*model_, weights, tokens);
    ASSERT_EQ(loss.has_value(), seed != 1 && seed != 2 && seed != 7) << "the first of a length is not recorded";
    if (loss) {
      EXPECT_TRUE(Taken(*loss, *model_) == expected);
    }
    weights.DropGradients();
  }
  EXPECT_EQ(graphs.recorded(), 2);
  EXPECT_EQ(graphs.replayed(), 5);
}

INSTANTIATE_TEST_SUITE_P(All, GradientGraphsTest,
                         testing::Values("gpt2", "llama_gqa_tied", "phi3_longrope", "gemma2", "opt_350m"),
                         [](const auto& info) { return std::string(info.param); });

// The pass itself against the one that finetuning makes on the CPU: other code for the head, the same numbers.
TEST(GradientGraphs, APassIsThatOfTheTuner) {
  const IntraOpThreads one(1);
  const std::vector<int32_t> tokens = Tokens(1, 30);
  const auto model = LoadLanguageModel(kModels / "llama_gqa_tied");
  FlatWeights weights(model.get());
  weights.Reserve();
  const Gradient ours = Direct(*model, weights, *model, tokens);
  double square = 0;
  for (const at::Tensor& value : ours.values) square += std::pow(value.norm().item<double>(), 2);
  const auto tuner = Tuner::Load({.model_dir = kModels / "llama_gqa_tied", .threads = 1});
  const std::vector<TrainSequence> train = {{tokens, 1}};
  const TuneResult result = tuner->Run({.max_length = 64, .prefix_token = 0}, train, {}, /*grad_norms=*/true);
  EXPECT_NEAR(ours.loss, *result.steps.at(0).loss, 1e-6 * ours.loss);
  EXPECT_NEAR(std::sqrt(square), result.steps.at(0).grad_norm, 1e-5 * std::sqrt(square));
}

TEST(GradientGraphs, AdaptersHavePlacesToo) {
  const IntraOpThreads one(1);
  const auto model = LoadLanguageModel(kModels / "llama_gqa_tied");
  Lora lora(model.get(), {.kind = "lora", .rank = 2});
  FlatWeights adapters(&lora);
  adapters.Reserve();
  lora.Attach();
  GradientGraphs graphs(Keep);
  EXPECT_FALSE(graphs.Compute(*model, adapters, Tokens(1, 20)));
  const Gradient expected = Direct(*model, adapters, lora, Tokens(2, 20));
  const std::optional<double> loss = graphs.Compute(*model, adapters, Tokens(2, 20));
  ASSERT_TRUE(loss);
  EXPECT_TRUE(Taken(*loss, lora) == expected);
}

TEST(GradientGraphs, MoreLengthsThanThereIsRoomForRunWithoutGraphs) {
  const auto model = LoadLanguageModel(kModels / "gpt2");
  FlatWeights weights(model.get());
  weights.Reserve();
  GradientGraphs graphs(Keep, 2);
  for (int pass = 0; pass < 3; ++pass) {
    for (const size_t length : {10, 12, 14}) {
      EXPECT_EQ(graphs.Compute(*model, weights, Tokens(pass, length)).has_value(), pass > 0 && length != 14);
    }
  }
  EXPECT_EQ(graphs.recorded(), 2);
}

TEST(GradientGraphs, WhatCannotBeRecordedIsTriedOnce) {
  const auto model = LoadLanguageModel(kModels / "gpt2");
  FlatWeights weights(model.get());
  weights.Reserve();
  int tried = 0;
  GradientGraphs graphs([&](const std::function<void()>& body) -> std::unique_ptr<Recorded> {
    ++tried;
    body();
    throw std::runtime_error("operation not permitted when stream is capturing");
  });
  for (int pass = 0; pass < 4; ++pass) EXPECT_FALSE(graphs.Compute(*model, weights, Tokens(pass, 12)));
  EXPECT_EQ(tried, 1);
  for (const Parameter& parameter : model->parameters()) EXPECT_FALSE(parameter.value.grad().defined());
}

TEST(GradientGraphs, TheCpuHasNone) {
  ExpectFault(Code::kUsage, "the device is the CPU",
              [] { Tuner::Load({.model_dir = kModels / "gpt2", .threads = 1, .cuda_graphs = true}); });
}

}  // namespace
}  // namespace hullft::worker
