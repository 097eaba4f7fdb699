// Low-rank adapters against a loop that knows nothing of them: full gradients at the merged weights, the chain rule,
// and Adam in double precision. Then what the tuner promises of every kind of finetuning.
#include "worker/finetune/lora.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "common/error.h"
#include "common/files.h"
#include "worker/finetune/scoring.h"
#include "worker/models/id_tensor.h"
#include "worker/tuner.h"

namespace hullft::worker {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

const std::string kGoldens = std::string(HULLFT_GOLDENS) + "/finetune/";

AdapterOptions Adapters(const std::string& targets, int rank = 4) {
  return {.kind = "lora", .rank = rank, .alpha = 6, .targets = targets};
}

struct Case {
  std::string model, targets;
};

void PrintTo(const Case& of, std::ostream* out) {
  *out << of.model << " " << of.targets;
}

std::vector<int32_t> Text(const std::string& model, int index) {
  const json golden = json::parse(ReadFile(kGoldens + model + "/golden.json"));
  return golden.at("tokens_96").at(static_cast<size_t>(index)).at("input_ids").get<std::vector<int32_t>>();
}

std::vector<TrainSequence> Train(const std::string& model) {
  return {{Text(model, 0), 3}, {Text(model, 1), 1}};
}

const TuneSettings kSettings{.learning_rate = 2e-2, .refresh = 2, .max_length = 40};

// Adapters as plain arrays beside a model all of whose weights have gradients.
class Oracle {
 public:
  Oracle(const std::string& model, const AdapterOptions& options) : scale_(options.alpha / options.rank) {
    model_ = LoadLanguageModel(kGoldens + model);
    const auto frozen = LoadLanguageModel(kGoldens + model);
    Lora lora(frozen.get(), options);
    places_ = ChoosePlaces(options, frozen->adapter_places());
    for (const Parameter& parameter : lora.parameters()) {
      values_.push_back(parameter.value.detach().to(at::kDouble).clone());
      m_.push_back(at::zeros_like(values_.back()));
      v_.push_back(at::zeros_like(values_.back()));
    }
    for (const Parameter& parameter : model_->parameters()) base_.push_back(parameter.value.detach().clone());
  }

  // Weights of the model as they are with the adapters; the change of place i is B A, in the weight's layout.
  void Merge() {
    for (size_t i = 0; i < places_.size(); ++i) {
      const auto index = static_cast<size_t>(places_[i].weight);
      model_->parameters()[index].value.detach().copy_(base_[index]);
    }
    for (size_t i = 0; i < places_.size(); ++i) {
      const at::Tensor change = at::mm(values_[2 * i + 1], values_[2 * i]) * scale_;
      Part(model_->parameters()[static_cast<size_t>(places_[i].weight)].value.detach(), places_[i])
          .add_(change.to(at::kFloat));
    }
  }

  // The loss, and the gradients of A and B: dA = s B^T dW, dB = s dW A^T.
  double Gradient(std::span<const int32_t> tokens, std::vector<at::Tensor>* gradients) {
    Merge();
    const at::Tensor logits = model_->Logits(IdTensor(tokens.first(tokens.size() - 1)));
    const at::Tensor loss = at::cross_entropy_loss(logits, IdTensor(tokens.subspan(1)));
    loss.backward();
    gradients->clear();
    for (size_t i = 0; i < places_.size(); ++i) {
      const at::Tensor whole = model_->parameters()[static_cast<size_t>(places_[i].weight)].value.grad();
      const at::Tensor dw = Part(whole, places_[i]).to(at::kDouble);
      gradients->push_back(at::mm(values_[2 * i + 1].t(), dw) * scale_);
      gradients->push_back(at::mm(dw, values_[2 * i].t()) * scale_);
    }
    for (Parameter& parameter : model_->parameters()) parameter.value.mutable_grad().reset();
    return loss.item<double>();
  }

  void Step(const std::vector<at::Tensor>& gradients) {
    ++steps_;
    for (size_t i = 0; i < values_.size(); ++i) {
      m_[i] = 0.9 * m_[i] + 0.1 * gradients[i];
      v_[i] = 0.999 * v_[i] + 0.001 * gradients[i] * gradients[i];
      const at::Tensor m = m_[i] / (1 - std::pow(0.9, steps_)), v = v_[i] / (1 - std::pow(0.999, steps_));
      values_[i] = values_[i] - kSettings.learning_rate * m / (v.sqrt() + 1e-8);
    }
  }

  double LogLikelihood(const std::vector<int32_t>& tokens) {
    Merge();
    HeadLoss head(1);
    return ScoreDocument(*model_, head, {tokens, 1}, 0, kSettings.max_length).log_likelihood;
  }

 private:
  // The rows [outputs, inputs] of the weight that the place has.
  static at::Tensor Part(const at::Tensor& weight, const AdapterPlace& place) {
    return (place.in_out ? weight.t() : weight).narrow(0, place.begin, place.outputs);
  }

  std::unique_ptr<LanguageModel> model_;
  double scale_;
  std::vector<AdapterPlace> places_;
  std::vector<at::Tensor> base_, values_, m_, v_;
  int steps_ = 0;
};

class LoraCase : public ::testing::TestWithParam<Case> {};

TEST_P(LoraCase, IsFullFinetuningRestrictedByTheChainRule) {
  const AdapterOptions adapters = Adapters(GetParam().targets);
  const std::string model = GetParam().model;
  const auto tuner = Tuner::Load({.model_dir = kGoldens + model, .threads = 1, .adapter = adapters});
  const std::vector<int32_t> document = Text(model, 3);
  const TuneResult result = tuner->Run({.learning_rate = kSettings.learning_rate, .max_length = 40, .prefix_token = 0},
                                       Train(model), std::vector<EvalDocument>{{document, 1}}, true);
  Oracle oracle(model, adapters);
  EXPECT_NEAR(result.before[0].log_likelihood, oracle.LogLikelihood(document), 1e-3);
  size_t at = 0;
  for (const TrainSequence& sequence : Train(model)) {
    std::vector<at::Tensor> gradients;
    for (int j = 0; j < sequence.count; ++j, ++at) {
      if (j % kSettings.refresh == 0) {
        const double loss = oracle.Gradient(std::span(sequence.tokens).first(40), &gradients);
        ASSERT_TRUE(result.steps.at(at).loss.has_value());
        EXPECT_NEAR(*result.steps[at].loss, loss, 2e-5) << at;
        double squares = 0;
        for (const at::Tensor& gradient : gradients) squares += gradient.square().sum().item<double>();
        EXPECT_NEAR(result.steps[at].grad_norm, std::sqrt(squares), 1e-4 * std::sqrt(squares)) << at;
      }
      oracle.Step(gradients);
    }
  }
  const double after = oracle.LogLikelihood(document);
  EXPECT_NEAR(result.after[0].log_likelihood, after, 1e-5 * std::abs(after));
  EXPECT_GT(std::abs(after - result.before[0].log_likelihood), 1e-2);  // the adapters did something
  EXPECT_LT(tuner->trained_parameters(), tuner->parameters());
}

INSTANTIATE_TEST_SUITE_P(Models, LoraCase,
                         ::testing::Values(Case{"gpt2", "q,v"}, Case{"gpt2", "q,k,v,o,up,down"},
                                           Case{"llama_gqa_tied", "q,v"},
                                           Case{"llama_gqa_untied", "q,k,v,o,gate,up,down"}),
                         [](const auto& info) { return info.param.model + std::to_string(info.index); });

TEST(LowRank, IsThePlainExpressionUnderAutograd) {
  at::manual_seed(1);
  const auto random = [](std::vector<int64_t> shape) { return at::randn(shape).set_requires_grad(true); };
  const at::Tensor x = random({9, 12}), w = at::randn({12, 20}), dy = at::randn({9, 20});
  const Adapter adapter{5, 1.5, random({3, 12}), random({8, 3})};
  const auto run = [&](bool plain) {
    at::Tensor y = at::mm(x, w);
    if (plain) {
      const at::Tensor part = at::mm(at::mm(x, adapter.a.t()), adapter.b.t()) * adapter.scale;
      y = y + at::constant_pad_nd(part, {5, 7});
    } else {
      y = AddLowRank(y, x, adapter);
    }
    y.backward(dy);
    std::vector<at::Tensor> results = {y.detach()};
    for (at::Tensor leaf : {x, adapter.a, adapter.b}) {
      results.push_back(leaf.grad().clone());
      leaf.mutable_grad().reset();
    }
    return results;
  };
  const std::vector<at::Tensor> lean = run(false), plain = run(true);
  for (size_t i = 0; i < lean.size(); ++i) EXPECT_TRUE(at::allclose(lean[i], plain[i], 1e-5, 1e-5)) << i;
  const at::Tensor merged = w.clone(), turned = w.t().clone();
  MergeLowRank(merged, true, adapter);
  MergeLowRank(turned, false, adapter);
  EXPECT_TRUE(at::allclose(at::mm(x, merged), plain[0], 1e-5, 1e-5));
  EXPECT_TRUE(at::allclose(merged.t(), turned, 1e-6, 1e-6));
}

struct Small {
  explicit Small(const AdapterOptions& adapters = Adapters("q,v"))
      : options{.model_dir = kGoldens + "llama_gqa_tied", .threads = 1, .adapter = adapters},
        tuner(Tuner::Load(options)),
        a(Train("llama_gqa_tied")),
        b({{Text("llama_gqa_tied", 2), 2}}),
        eval({{Text("llama_gqa_tied", 3), 300}}) {}
  TuneResult Run(const std::vector<TrainSequence>& train) { return tuner->Run(settings, train, eval, true); }
  TunerOptions options;
  std::unique_ptr<Tuner> tuner;
  std::vector<TrainSequence> a, b;
  std::vector<EvalDocument> eval;
  TuneSettings settings = kSettings;
};

void ExpectSameBits(const TuneResult& x, const TuneResult& y) {
  ASSERT_EQ(x.steps.size(), y.steps.size());
  for (size_t i = 0; i < x.steps.size(); ++i) {
    EXPECT_EQ(x.steps[i].loss, y.steps[i].loss);
    EXPECT_EQ(x.steps[i].grad_norm, y.steps[i].grad_norm);
  }
  EXPECT_EQ(x.before[0].log_likelihood, y.before[0].log_likelihood);
  EXPECT_EQ(x.after[0].log_likelihood, y.after[0].log_likelihood);
}

TEST(Lora, QueriesInEitherOrderAndSideBySideHaveTheSameBits) {
  Small first, second;
  second.options.check_weights = true;
  second.tuner = Tuner::Load(second.options);
  const TuneResult a = first.Run(first.a), b = first.Run(first.b);
  ExpectSameBits(second.Run(second.b), b);
  ExpectSameBits(second.Run(second.a), a);
  const std::shared_ptr<Tuner> owner = std::move(first.tuner);
  const std::unique_ptr<Tuner> lane = Tuner::Load(first.options, SharedBase(owner));
  TuneResult beside;
  std::thread thread([&] { beside = lane->Run(second.settings, second.b, second.eval, true); });
  const TuneResult again = owner->Run(second.settings, second.a, second.eval, true);
  thread.join();
  ExpectSameBits(again, a);
  ExpectSameBits(beside, b);
}

TEST(Lora, UntunedScoresAreThoseOfTheModelAndALearningRateOfZeroKeepsThem) {
  Small small, full(AdapterOptions{});
  const TuneResult of_model = full.Run({});
  small.settings.learning_rate = 0;
  const TuneResult result = small.Run(small.a);
  EXPECT_EQ(result.steps.size(), 4U);
  EXPECT_EQ(result.before[0].log_likelihood, of_model.before[0].log_likelihood);
  EXPECT_EQ(result.after[0].log_likelihood, result.before[0].log_likelihood);
  EXPECT_EQ(small.tuner->digest(), full.tuner->digest());
}

TEST(Lora, AMarkHasTheBitsOfARunThatEndsThere) {
  Small small;
  small.settings.score_at = {1, 3};
  const TuneResult marked = small.Run(small.a);
  small.settings.score_at = {};
  ExpectSameBits(marked, small.Run(small.a));
  ASSERT_EQ(marked.marks.size(), 2U);
  EXPECT_EQ(marked.marks[0].scores[0].log_likelihood, small.Run({{small.a[0].tokens, 1}}).after[0].log_likelihood);
  EXPECT_EQ(marked.marks[1].scores[0].log_likelihood, small.Run({{small.a[0].tokens, 3}}).after[0].log_likelihood);
}

TEST(Lora, AFailedQueryLeavesTheTunerWhole) {
  Small small;
  const TuneResult before = small.Run(small.a);
  small.settings.learning_rate = 1e38;
  EXPECT_THROW(small.Run(small.a), Error);
  small.settings = kSettings;
  ExpectSameBits(before, small.Run(small.a));
}

TEST(Lora, Bf16IsNearFloat32) {
  Small small, rough;
  rough.options.precision = "bf16";
  rough.tuner = Tuner::Load(rough.options);
  const TuneResult a = small.Run(small.a), b = rough.Run(rough.a);
  EXPECT_NE(a.after[0].log_likelihood, b.after[0].log_likelihood);
  EXPECT_NEAR(b.after[0].log_likelihood / a.after[0].log_likelihood, 1, 5e-3);
}

TEST(Lora, FreezesTheModel) {
  const auto model = LoadLanguageModel(kGoldens + "gpt2");
  Lora lora(model.get(), Adapters("q,v"));
  lora.Attach();
  const at::Tensor hidden = model->Hidden(IdTensor(Text("gpt2", 0)), 0);
  hidden.backward(at::ones_like(hidden));
  for (const Parameter& parameter : model->parameters()) EXPECT_FALSE(parameter.value.grad().defined());
  for (const Parameter& parameter : lora.parameters()) EXPECT_TRUE(parameter.value.grad().defined()) << parameter.name;
}

TEST(Lora, BadSettingsAreNamed) {
  const auto fault = [](const AdapterOptions& adapters, const std::string& model = "llama_gqa_tied") -> std::string {
    try {
      Tuner::Load({.model_dir = kGoldens + model, .threads = 1, .adapter = adapters});
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::kUsage);
      return error.message();
    }
    ADD_FAILURE() << "no error";
    return "";
  };
  EXPECT_THAT(fault(Adapters("q,query,w")), HasSubstr("no target 'query', 'w'; it has q, k, v, o, gate, up, down"));
  EXPECT_THAT(fault(Adapters("gate"), "gpt2"), HasSubstr("it has q, k, v, o, up, down"));
  EXPECT_THAT(fault(Adapters("")), HasSubstr("needs a target"));
  EXPECT_THAT(fault(Adapters("q", 0)), HasSubstr("rank must be at least 1"));
  EXPECT_THAT(fault(Adapters("q", 100000)), HasSubstr("rank 100000 is more than target q"));
  EXPECT_THAT(fault({.kind = "lora", .alpha = -1}), HasSubstr("alpha"));
  EXPECT_THAT(fault({.kind = "dora"}), HasSubstr("neither none nor lora"));
}

}  // namespace
}  // namespace hullft::worker
