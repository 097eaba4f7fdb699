// The tuner against the HullFT authors' runs (tests/goldens/finetune), its determinism, and what it says to bad input.
#include "worker/tuner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "common/error.h"
#include "common/files.h"
#include "common/tokenizer/tokenizer.h"
#include "tests/caught.h"
#include "tests/worker/golden_tensor.h"
#include "worker/system_info.h"

namespace hullft::worker {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

const std::string kGoldens = std::string(HULLFT_GOLDENS) + "/finetune/";

// HULLFT_TEST_DEVICE=cuda runs all of this on the first GPU.
std::string Device() {
  const char* device = std::getenv("HULLFT_TEST_DEVICE");
  return device != nullptr ? device : "cpu";
}

class NeedsDevice : public ::testing::Environment {
  void SetUp() override {
    if (Device() != "cpu" && GpuCount() == 0) GTEST_SKIP() << "no GPU on this machine: run scripts/gpu_check on one";
  }
};
const auto* const kNeedsDevice = ::testing::AddGlobalTestEnvironment(new NeedsDevice);

std::string DataFolder() {
  const char* data = std::getenv("HULLFT_DATA");
  return data != nullptr ? data : std::string(HULLFT_SOURCE_DIR) + "/data";
}

std::vector<int32_t> Ids(const json& tokens) {
  return tokens.at("input_ids").get<std::vector<int32_t>>();
}

// A run's sequence of texts as the multiset that the method of the authors' code makes of it: `gradient_refresh` and
// `sift_global_refresh` merge equal texts at their first place, `sift_consecutive_refresh` only neighbours, `standard`
// none.
std::vector<std::pair<int, int>> Multiset(const json& run) {
  const std::string method = run.at("method");
  std::vector<std::pair<int, int>> multiset;
  for (const int text : run.at("sequence").get<std::vector<int>>()) {
    auto place = multiset.end();
    if (method == "sift_consecutive_refresh") {
      if (!multiset.empty() && multiset.back().first == text) place = multiset.end() - 1;
    } else if (method != "standard") {
      place = std::find_if(multiset.begin(), multiset.end(), [&](const auto& entry) { return entry.first == text; });
    }
    if (place == multiset.end()) {
      multiset.emplace_back(text, 1);
    } else {
      ++place->second;
    }
  }
  return multiset;
}

TuneSettings Settings(const json& run) {
  TuneSettings settings;
  settings.learning_rate = run.at("lr");
  settings.max_length = run.at("max_length");
  const json& refresh = run.at("refresh_interval");
  settings.refresh = refresh.is_null() ? 1 : refresh.is_string() ? 0 : refresh.get<int>();
  return settings;
}

std::vector<TrainSequence> Train(const json& run, const json& texts) {
  std::vector<TrainSequence> train;
  for (const auto& [text, count] : Multiset(run)) train.push_back({Ids(texts.at(static_cast<size_t>(text))), count});
  return train;
}

struct Tolerance {
  double loss, grad_norm, bpb;  // absolute, relative, absolute
};

void ExpectSteps(const TuneResult& result, const json& run, const Tolerance& tolerance) {
  const json& events = run.at("events");
  ASSERT_EQ(result.steps.size(), events.size());
  for (size_t i = 0; i < events.size(); ++i) {
    SCOPED_TRACE("step " + std::to_string(i));
    const StepRecord& step = result.steps[i];
    EXPECT_EQ(step.computed, events[i].at("computed").get<bool>());
    ASSERT_EQ(step.loss.has_value(), !events[i].at("loss").is_null());
    if (step.loss) {
      EXPECT_NEAR(*step.loss, events[i].at("loss").get<double>(), tolerance.loss);
    }
    const double norm = events[i].at("grad_norm");
    EXPECT_NEAR(step.grad_norm, norm, tolerance.grad_norm * norm);
  }
}

void ExpectScore(const Score& score, const json& golden, const Tolerance& tolerance) {
  const json& rolling = golden.at("rolling").at(0);
  EXPECT_EQ(score.tokens, rolling.at("n_tokens").get<int64_t>());
  EXPECT_EQ(score.windows, static_cast<int64_t>(rolling.at("windows").size()));
  EXPECT_NEAR(score.bpb.value(), rolling.at("bpb").get<double>(), tolerance.bpb);
  const double sum = rolling.at("logprob_sum");
  EXPECT_NEAR(score.log_likelihood, sum, tolerance.bpb * std::abs(sum));
  EXPECT_NEAR(score.bpb_first_window.value(), golden.at("authors").at("bpb").get<double>(), tolerance.bpb);
}

// The documents of a golden, tokenised whole.
std::vector<EvalDocument> Documents(const json& golden, const std::string& tokenizer_path) {
  const auto tokenizer = Tokenizer::Load(tokenizer_path);
  std::vector<EvalDocument> documents;
  for (const std::string text : golden.at("eval_texts")) {
    documents.push_back({tokenizer->Encode(text, /*add_special=*/false), static_cast<int64_t>(text.size())});
  }
  return documents;
}

class TinyModel : public ::testing::TestWithParam<std::string> {};

// |after - before| of every parameter, and the parameters themselves where the golden has them.
void ExpectWeights(const Tuner& tuner, const std::vector<NamedWeights>& base, const json& run,
                   const std::string& golden_path) {
  const std::vector<NamedWeights> after = tuner.Trained();
  ASSERT_EQ(after.size(), run.at("delta_norms").size());
  for (size_t i = 0; i < after.size(); ++i) {
    SCOPED_TRACE(after[i].name);
    double squares = 0;
    for (size_t k = 0; k < after[i].values.size(); ++k) {
      const double change = static_cast<double>(after[i].values[k]) - static_cast<double>(base[i].values[k]);
      squares += change * change;
    }
    const double norm = run.at("delta_norms").at(after[i].name);
    EXPECT_NEAR(std::sqrt(squares), norm, 2e-3 * norm);
  }
  if (golden_path.empty()) return;
  const SafetensorsFile golden(golden_path);
  for (const NamedWeights& weights : after) {
    SCOPED_TRACE(weights.name);
    at::Tensor expected = Golden(golden, weights.name).flatten();
    at::Tensor actual = at::tensor(weights.values);
    ASSERT_EQ(actual.numel(), expected.numel());
    if (weights.name.ends_with("c_attn.bias")) {  // softmax does not see the keys': their gradient is rounding alone
      actual.chunk(3)[1].copy_(expected.chunk(3)[1]);
    }
    // Steps of Adam have the learning rate's size whatever the gradient's is, so a few elements may differ by much.
    const double apart = (actual - expected).norm().item<double>();
    EXPECT_LT(apart, 2e-3 * std::sqrt(static_cast<double>(actual.numel())) * run.at("lr").get<double>());
  }
}

TEST_P(TinyModel, ReproducesEveryRunOfTheAuthorsCode) {
  const std::string folder = kGoldens + GetParam();
  const json golden = json::parse(ReadFile(folder + "/golden.json"));
  const auto tuner = Tuner::Load({.model_dir = folder, .device = Device(), .threads = 1});
  const std::vector<EvalDocument> eval =
      Documents(golden, std::string(HULLFT_GOLDENS) + "/tokenizers/gpt2_1000.tokenizer.json");
  const double bound = Device() == "cpu" ? 1e-5 : 1e-4;  // Adam's first steps amplify what the products round
  const Tolerance tolerance{bound, bound, bound};
  const std::vector<NamedWeights> base = tuner->Trained();
  for (const json& run : golden.at("runs")) {
    SCOPED_TRACE(run.at("method").dump() + " r=" + run.at("refresh_interval").dump() + " " + run.at("sequence").dump());
    const TuneResult result = tuner->Run(Settings(run), Train(run, golden.at("tokens_96")), eval, /*grad_norms=*/true);
    ExpectSteps(result, run, tolerance);
    ASSERT_EQ(result.after.size(), run.at("eval").size());
    for (size_t i = 0; i < eval.size(); ++i) {
      ExpectScore(result.before[i], golden.at("before").at(i), tolerance);
      ExpectScore(result.after[i], run.at("eval").at(i), tolerance);
    }
    const std::string weights = folder + "/after_last_run.safetensors";
    const bool last = &run == &golden.at("runs").back() && std::filesystem::exists(weights);
    ExpectWeights(*tuner, base, run, last ? weights : "");
  }
  const TuneResult wide = tuner->Run({.max_length = 128}, {}, eval);  // windows of the model's whole length
  for (size_t i = 0; i < eval.size(); ++i) ExpectScore(wide.before[i], golden.at("before_128").at(i), tolerance);
}

INSTANTIATE_TEST_SUITE_P(Goldens, TinyModel, ::testing::Values("gpt2", "llama_gqa_tied", "llama_gqa_untied"),
                         [](const auto& info) { return info.param; });

TEST(SmolLm2, ReproducesTheAuthorsRunWithReusedGradients) {
  const std::string folder = DataFolder() + "/models/smollm2-135m-instruct";
  ASSERT_TRUE(std::filesystem::exists(folder + "/model.safetensors")) << "run scripts/get_models, or set HULLFT_DATA";
  const json query = json::parse(ReadFile(kGoldens + "smollm2/golden.json")).at("queries").at(0);
  const json& run = query.at("runs").at(1);
  ASSERT_EQ(run.at("refresh_interval").dump(), "2");
  const auto tuner = Tuner::Load({.model_dir = folder, .device = Device()});
  const std::vector<EvalDocument> eval = Documents(query, folder);
  const TuneResult result = tuner->Run(Settings(run), Train(run, query.at("tokens_256")), eval, /*grad_norms=*/true);
  const Tolerance tolerance{2e-4, 1e-3, 1e-4};
  ExpectSteps(result, run, tolerance);
  ExpectScore(result.before.at(0), query.at("before").at(0), tolerance);
  ExpectScore(result.after.at(0), run.at("eval").at(0), tolerance);
}

// A small model, one text each of two lengths, and what a run of them gives.
struct Small {
  std::unique_ptr<Tuner> tuner;
  std::vector<TrainSequence> a, b;
  std::vector<EvalDocument> eval;
  TuneSettings settings;
  explicit Small(int threads = 1)
      : tuner(Tuner::Load({.model_dir = kGoldens + "llama_gqa_tied", .device = Device(), .threads = threads})) {
    const json golden = json::parse(ReadFile(kGoldens + "llama_gqa_tied/golden.json"));
    a = {{Ids(golden.at("tokens_96").at(0)), 3}, {Ids(golden.at("tokens_96").at(1)), 1}};
    b = {{Ids(golden.at("tokens_96").at(3)), 2}};
    eval = {{Ids(golden.at("eval_tokens_96").at(0)), 900}};
    settings.max_length = 40;
    settings.learning_rate = 1e-3;
  }
  TuneResult Run(const std::vector<TrainSequence>& train) { return tuner->Run(settings, train, eval, true); }
  Code Fault(const std::vector<TrainSequence>& train, std::string* message = nullptr) {
    const Error error = Caught([&] { Run(train); });
    if (message != nullptr) *message = error.message();
    return error.code();
  }
};

void ExpectSameBits(const TuneResult& x, const TuneResult& y) {
  ASSERT_EQ(x.steps.size(), y.steps.size());
  for (size_t i = 0; i < x.steps.size(); ++i) {
    EXPECT_EQ(x.steps[i].loss, y.steps[i].loss);
    EXPECT_EQ(x.steps[i].grad_norm, y.steps[i].grad_norm);
  }
  ASSERT_EQ(x.after.size(), y.after.size());
  for (size_t i = 0; i < x.after.size(); ++i) {
    EXPECT_EQ(x.before[i].log_likelihood, y.before[i].log_likelihood);
    EXPECT_EQ(x.after[i].log_likelihood, y.after[i].log_likelihood);
    EXPECT_EQ(x.after[i].log_likelihood_first_window, y.after[i].log_likelihood_first_window);
  }
}

TEST(Tuner, AResultDoesNotDependOnWhatWasTunedBefore) {
  Small small(2);
  const TuneResult first = small.Run(small.a), between = small.Run(small.b), again = small.Run(small.a);
  ExpectSameBits(first, again);
  EXPECT_NE(first.after[0].log_likelihood, between.after[0].log_likelihood);
  EXPECT_NE(first.after[0].log_likelihood, first.before[0].log_likelihood);
  ExpectSameBits(first, Small(2).Run(small.a));
}

// A mark may lie between two steps that share a gradient, at a sequence that is skipped, and at the end.
TEST(Tuner, AMarkHasTheBitsOfARunThatEndsThere) {
  Small small;
  small.a[0].count = 5;
  small.a.insert(small.a.begin() + 1, TrainSequence{{5}, 2});
  for (const int refresh : {1, 2, 3, 0}) {
    small.settings.refresh = refresh;
    small.settings.score_at = {};
    const TuneResult plain = small.Run(small.a);
    EXPECT_TRUE(plain.marks.empty());
    small.settings.score_at = {1, 2, 4, 6, 7, 8, 100};
    const TuneResult marked = small.Run(small.a);
    ExpectSameBits(plain, marked);
    ASSERT_EQ(marked.marks.size(), 6U);  // the multiset has 8
    small.settings.score_at = {};
    for (const Mark& mark : marked.marks) {
      std::vector<TrainSequence> prefix;
      for (int left = mark.n; const TrainSequence& sequence : small.a) {
        if (left == 0) break;
        prefix.push_back({sequence.tokens, std::min(left, sequence.count)});
        left -= prefix.back().count;
      }
      const TuneResult alone = small.Run(prefix);
      EXPECT_EQ(mark.steps, static_cast<int64_t>(alone.steps.size())) << mark.n;
      EXPECT_EQ(mark.gradients, alone.gradients_computed) << mark.n;
      EXPECT_EQ(mark.scores[0].log_likelihood, alone.after[0].log_likelihood) << mark.n;
      EXPECT_EQ(mark.scores[0].log_likelihood_first_window, alone.after[0].log_likelihood_first_window) << mark.n;
    }
  }
  small.settings.score_at = {2, 2};
  EXPECT_EQ(small.Fault(small.a), Code::kUsage);
  small.settings.score_at = {0};
  EXPECT_EQ(small.Fault(small.a), Code::kUsage);
}

TEST(Tuner, AKnownUntunedScoreIsTakenAsItIs) {
  Small small;
  small.eval.push_back({{7, 8, 9}, 3});
  const TuneResult plain = small.Run(small.a);
  small.eval[1].untuned = plain.before[1];
  ExpectSameBits(plain, small.Run(small.a));
  small.eval[1].untuned->log_likelihood = -42;
  const TuneResult given = small.Run(small.a);
  EXPECT_EQ(given.before[1].log_likelihood, -42);
  EXPECT_EQ(given.before[0].log_likelihood, plain.before[0].log_likelihood);
  EXPECT_EQ(given.after[1].log_likelihood, plain.after[1].log_likelihood);
}

// Two tuners over one copy of the base weights, at the same time, against one alone.
TEST(Tuner, LanesShareTheBaseWeightsAndNothingElse) {
  Small alone;
  const TuneResult a = alone.Run(alone.a), b = alone.Run(alone.b);
  std::shared_ptr<Tuner> first = std::move(Small().tuner);
  const TunerOptions options{
      .model_dir = kGoldens + "llama_gqa_tied", .device = Device(), .threads = 1, .own_stream = true};
  const std::shared_ptr<Tuner> second = Tuner::Load(options, SharedBase(first));
  EXPECT_EQ(second->base(), first->base());
  EXPECT_EQ(second->digest(), first->digest());
  TuneResult of_first, of_second;
  for (int repetition = 0; repetition < 5; ++repetition) {
    std::thread thread([&] { of_second = second->Run(alone.settings, alone.b, alone.eval, true); });
    of_first = first->Run(alone.settings, alone.a, alone.eval, true);
    thread.join();
    ExpectSameBits(of_first, a);
    ExpectSameBits(of_second, b);
  }
  first.reset();  // the second keeps the weights
  ExpectSameBits(second->Run(alone.settings, alone.a, alone.eval, true), a);
}

TEST(Tuner, CountsGradientsAndTokens) {
  Small small;
  small.a[0].count = 7;  // r = 2: 4 gradients, and 1 for the other text
  const TuneResult result = small.Run(small.a);
  EXPECT_EQ(result.gradients_computed, 5);
  EXPECT_EQ(result.tokens_trained, 5 * 40);
  EXPECT_EQ(result.steps.size(), 8U);
  small.settings.refresh = 0;
  EXPECT_EQ(small.Run(small.a).gradients_computed, 2);
}

TEST(Tuner, WithoutTrainingAfterIsBefore) {
  Small small;
  const TuneResult result = small.Run({});
  EXPECT_EQ(result.before[0].log_likelihood, result.after[0].log_likelihood);
  EXPECT_TRUE(result.steps.empty());
}

TEST(Tuner, SequencesWithNothingToPredictAreSkippedAndCounted) {
  Small small;
  const TuneResult clean = small.Run(small.a);
  std::vector<TrainSequence> train = small.a;
  train.insert(train.begin() + 1, TrainSequence{{5}, 4});
  train.push_back({{}, 1});
  const TuneResult result = small.Run(train);
  EXPECT_EQ(result.sequences_skipped, 2);
  EXPECT_EQ(result.steps.size(), clean.steps.size());
  EXPECT_EQ(result.after[0].log_likelihood, clean.after[0].log_likelihood);
}

TEST(Tuner, ScoresOfTinyDocuments) {
  Small small;
  small.eval = {{{}, 0}, {{}, 4}, {{7}, 3}, {{7, 8}, std::nullopt}};
  const TuneResult result = small.Run({});
  EXPECT_EQ(result.before[0].bpb, std::nullopt);
  EXPECT_EQ(result.before[1].windows, 0);
  EXPECT_LT(result.before[2].log_likelihood, 0);
  EXPECT_GT(result.before[2].bpb.value(), 0);
  EXPECT_EQ(result.before[2].bpb_first_window, std::nullopt);
  EXPECT_LT(result.before[3].log_likelihood_first_window, 0);
  EXPECT_EQ(result.before[3].bpb, std::nullopt);
}

TEST(Tuner, ASequenceLongerThanTheWindowIsCut) {
  Small small;
  const TuneResult result = small.Run(small.a);
  for (TrainSequence& sequence : small.a) {
    ASSERT_GT(sequence.tokens.size(), 40U);
    sequence.tokens.resize(40);
  }
  ExpectSameBits(result, small.Run(small.a));
}

TEST(Tuner, BadInputIsNamed) {
  Small small;
  std::string message;
  EXPECT_EQ(small.Fault({{{1, 2, 3}, 1}, {{1, 1000}, 1}}, &message), Code::kData);
  EXPECT_THAT(message, HasSubstr("training sequence 1: token 1 is 1000"));
  EXPECT_EQ(small.Fault({{{1, -1}, 1}}), Code::kData);
  EXPECT_EQ(small.Fault({{{1, 2}, 0}}, &message), Code::kData);
  EXPECT_THAT(message, HasSubstr("count 0 is not positive"));
  small.settings.refresh = -1;
  EXPECT_EQ(small.Fault({}, &message), Code::kUsage);
  EXPECT_THAT(message, HasSubstr("refresh"));
  small.settings.refresh = 2;
  small.settings.max_length = 129;
  EXPECT_EQ(small.Fault({}, &message), Code::kUsage);
  EXPECT_THAT(message, HasSubstr("limit of 128"));
  small.settings = {.max_length = 1, .dropout = 1.0};
  EXPECT_EQ(small.Fault({}, &message), Code::kUsage);
  EXPECT_THAT(message, HasSubstr("max_length must be at least 2"));
  EXPECT_THAT(message, HasSubstr("dropout"));
}

TEST(Tuner, ALossThatIsNotFiniteIsAnErrorAndLeavesTheTunerWhole) {
  Small small;
  const TuneResult before = small.Run(small.a);
  small.settings.learning_rate = 1e38;
  EXPECT_EQ(small.Fault(small.a), Code::kNumeric);
  small.settings.learning_rate = 1e-3;
  ExpectSameBits(before, small.Run(small.a));
}

TEST(Tuner, DropoutIsRepeatableAndDoesSomething) {
  const auto tuner = Tuner::Load({.model_dir = kGoldens + "gpt2", .device = Device(), .threads = 1});
  const std::vector<TrainSequence> train = {{{1, 2, 3, 4, 5, 6, 7, 8}, 2}};
  TuneSettings settings{.max_length = 16};
  const double plain = *tuner->Run(settings, train, {}).steps[0].loss;
  settings.dropout = 0.5;
  const double dropped = *tuner->Run(settings, train, {}).steps[0].loss;
  EXPECT_NE(plain, dropped);
  EXPECT_EQ(dropped, *tuner->Run(settings, train, {}).steps[0].loss);
}

TEST(Tuner, QueriesInEitherOrderStartFromTheSameWeights) {
  Small small(2), other(2);
  const TunerOptions options{
      .model_dir = kGoldens + "llama_gqa_tied", .device = Device(), .threads = 2, .check_weights = true};
  small.tuner = Tuner::Load(options);
  other.tuner = Tuner::Load(options);
  const TuneResult a = small.Run(small.a), b = small.Run(small.b);
  const TuneResult b_first = other.Run(other.b), a_second = other.Run(other.a);
  ExpectSameBits(a, a_second);
  ExpectSameBits(b, b_first);
  if (Device() != "cpu") return;  // base() is the GPU's memory
  small.tuner->base()[5] += 1;
  EXPECT_EQ(small.Fault(small.a), Code::kInternal);
}

TEST(Tuner, ALearningRateOfZeroChangesNothing) {
  Small small(2);
  small.settings.learning_rate = 0;
  const TuneResult result = small.Run(small.a);
  EXPECT_EQ(result.before[0].log_likelihood, result.after[0].log_likelihood);
  EXPECT_EQ(result.before[0].log_likelihood_first_window, result.after[0].log_likelihood_first_window);
  EXPECT_EQ(result.steps.size(), 4U);
}

// A text with count 3 is the text three times over when every step computes its gradient.
TEST(Tuner, WithoutReuseACountIsTheTextThatOftenBitForBit) {
  Small small(2);
  small.settings.refresh = 1;
  const TuneResult counted = small.Run(small.a);
  std::vector<TrainSequence> plain(3, {small.a[0].tokens, 1});
  plain.push_back(small.a[1]);
  small.settings.refresh = 7;  // of no effect on counts of 1
  const TuneResult plainly = small.Run(plain);
  ExpectSameBits(counted, plainly);
  for (const StepRecord& step : counted.steps) EXPECT_TRUE(step.computed);
}

TEST(Tuner, AFailingQueryNamesItsSequenceAndStep) {
  Small small;
  small.settings.learning_rate = 1e38;
  std::string message;
  EXPECT_EQ(small.Fault(small.a, &message), Code::kNumeric);
  EXPECT_THAT(message, HasSubstr("training sequence 0"));
  EXPECT_THAT(message, HasSubstr("step 3"));  // two steps share the first gradient
}

TEST(Tuner, Bf16IsNearFloat32AndRepeats) {
  for (const char* model : {"llama_gqa_tied", "gpt2"}) {
    const auto load = [&](const char* precision) {
      return Tuner::Load({.model_dir = kGoldens + model, .device = Device(), .threads = 1, .precision = precision});
    };
    const auto exact = load("float32"), rough = load("bf16");
    Small small;
    const auto run = [&](Tuner& tuner) { return tuner.Run(small.settings, small.a, small.eval, true); };
    const TuneResult a = run(*exact), b = run(*rough);
    ExpectSameBits(b, run(*rough));
    EXPECT_NE(a.after[0].log_likelihood, b.after[0].log_likelihood);
    EXPECT_NEAR(b.after[0].log_likelihood / a.after[0].log_likelihood, 1, 5e-3);
    for (size_t i = 0; i < a.steps.size(); ++i) {
      if (a.steps[i].loss) {
        EXPECT_NEAR(*a.steps[i].loss, *b.steps[i].loss, 0.03);
      }
    }
    EXPECT_NE(exact->arithmetic(), rough->arithmetic());
  }
  EXPECT_THROW(Tuner::Load({.model_dir = kGoldens + "gpt2", .precision = "half"}), Error);
  EXPECT_THROW(Tuner::Load({.model_dir = kGoldens + "gpt2", .precision = "tf32"}), Error);
}

}  // namespace
}  // namespace hullft::worker
