// Language models against the reference implementation: logits, loss and every gradient of all golden models, from both
// generations of config.json; and what happens to configurations and weights that do not fit.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "common/error.h"
#include "common/files.h"
#include "tests/caught.h"
#include "tests/worker/golden_tensor.h"
#include "tests/worker/rename_tensors.h"
#include "worker/finetune/flat_weights.h"
#include "worker/models/families.h"
#include "worker/models/language_model.h"

namespace hullft::worker {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

const fs::path kModels = fs::path(HULLFT_GOLDENS) / "models";

std::vector<std::string> GoldenModels() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(kModels)) names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  return names;
}

// A scratch copy of a golden model whose config.json a test may spoil.
class Scratch {
 public:
  explicit Scratch(const std::string& model, const char* config = "config.json") {
    std::string name = (fs::temp_directory_path() / "hullft_models_XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    fs::copy_file(kModels / model / "model.safetensors", folder_ / "model.safetensors");
    fs::copy_file(kModels / model / config, folder_ / "config.json");
  }
  ~Scratch() { fs::remove_all(folder_); }
  void Set(const std::string& field, const json& value) {
    json config = json::parse(ReadFile(folder_ / "config.json"));
    config[field] = value;
    std::ofstream(folder_ / "config.json") << config.dump();
  }
  const fs::path& folder() const { return folder_; }

 private:
  fs::path folder_;
};

std::string LoadFailure(const fs::path& folder) {
  const Error error = Caught([&] { LoadLanguageModel(folder); });
  EXPECT_EQ(error.code(), Code::kData);
  return error.message();
}

class GoldenModel : public testing::TestWithParam<std::string> {};

// The reference ran two rows, the second padded on the right; here each row is a sequence of its own length.
TEST_P(GoldenModel, LogitsLossAndGradients) {
  const fs::path folder = kModels / GetParam();
  const SafetensorsFile golden(folder / "golden.safetensors");
  const json numbers = json::parse(ReadFile(folder / "golden.json"));
  const at::Tensor ids = Golden(golden, "input_ids"), mask = Golden(golden, "attention_mask");
  const at::Tensor logits = Golden(golden, "logits");
  ConfigReader config(folder / "config.json");
  const Tolerance tolerance = FamilyOf(config).tolerance;
  const std::unique_ptr<LanguageModel> model = LoadLanguageModel(folder);
  at::Tensor loss = at::zeros({});
  int64_t predicted = 0;
  for (int64_t row = 0; row < ids.size(0); ++row) {
    const int64_t length = mask[row].sum().item<int64_t>();
    const at::Tensor tokens = ids[row].narrow(0, 0, length);
    const at::Tensor ours = model->Logits(tokens);
    EXPECT_LT((ours - logits[row].narrow(0, 0, length)).abs().max().item<float>(), tolerance.logits) << "row " << row;
    const at::Tensor sum =
        at::cross_entropy_loss(ours.narrow(0, 0, length - 1), tokens.narrow(0, 1, length - 1), {}, at::Reduction::Sum);
    EXPECT_NEAR(-sum.item<double>(), numbers["logprob_sums"][static_cast<size_t>(row)].get<double>(), 1e-3);
    loss = loss + sum;
    predicted += length - 1;
  }
  loss = loss / static_cast<double>(predicted);
  EXPECT_NEAR(loss.item<double>(), numbers["loss"].get<double>(), tolerance.loss);
  loss.backward();
  for (const Parameter& parameter : model->parameters()) {
    // transformers renames GPT-NeoX's head when it loads it.
    const std::string name = parameter.name == "embed_out.weight" ? "lm_head.weight" : parameter.name;
    const at::Tensor expected = Golden(golden, "grad." + name);
    const double difference = (parameter.value.grad() - expected).norm().item<double>();
    // The softmax does not feel a bias of keys: that gradient is rounding.
    EXPECT_LT(difference, tolerance.gradients * expected.norm().item<double>() + 1e-7) << parameter.name;
  }
  EXPECT_EQ(model->parameters().size(), numbers["grad_norms"].size());
}

TEST_P(GoldenModel, OlderConfigurationNamesGiveTheSameBits) {
  const Scratch older(GetParam(), "config_v4.json");
  const at::Tensor ids = at::arange(3, 43, at::kLong);
  const c10::NoGradGuard no_grad;
  EXPECT_TRUE(
      LoadLanguageModel(older.folder())->Logits(ids).equal(LoadLanguageModel(kModels / GetParam())->Logits(ids)));
}

// With places for them (tuner.cc), the gradients of matrices are written there, whatever lay there before, and equal
// those that autograd keeps.
TEST_P(GoldenModel, GradientsAreWrittenInPlace) {
  const std::unique_ptr<LanguageModel> model = LoadLanguageModel(kModels / GetParam());
  const at::Tensor ids = at::remainder(at::arange(3, 43, at::kLong), 17);  // tokens repeat
  const auto backward = [&] {
    const at::Tensor hidden = model->Hidden(ids, 0);
    at::manual_seed(1);
    hidden.backward(at::randn_like(hidden));
  };
  backward();
  std::vector<at::Tensor> expected;
  for (Parameter& parameter : model->parameters()) {
    const at::Tensor& gradient = parameter.value.grad();
    expected.push_back(gradient.defined() ? gradient.clone() : at::Tensor());
    parameter.value.mutable_grad().reset();
  }
  FlatWeights weights(model.get());
  weights.Reserve();
  weights.PrepareGradients();
  for (Parameter& parameter : model->parameters()) {
    EXPECT_EQ(parameter.value.grad().defined(), parameter.overwritten) << parameter.name;
    if (parameter.value.grad().defined()) parameter.value.mutable_grad().fill_(std::nanf(""));
  }
  const at::Tensor head = model->HeadWeight();
  head.mutable_grad().fill_(0.5);  // what the loss wrote; a tied embedding adds to it
  backward();
  for (size_t i = 0; i < expected.size(); ++i) {
    const Parameter& parameter = model->parameters()[i];
    const bool is_head = parameter.value.is_same(head);
    if (!expected[i].defined()) {
      EXPECT_TRUE(is_head) << parameter.name;
      continue;
    }
    const at::Tensor actual = parameter.value.grad() - (is_head ? 0.5 : 0.0);
    EXPECT_LT((actual - expected[i]).norm().item<double>(), 1e-5 * expected[i].norm().item<double>()) << parameter.name;
  }
}

TEST_P(GoldenModel, SequencesSideBySideAreEachAlone) {
  const std::unique_ptr<LanguageModel> model = LoadLanguageModel(kModels / GetParam());
  const at::Tensor ids = at::arange(3, 54, at::kLong).view({3, 17});
  at::manual_seed(1);
  std::vector<at::Tensor> alone, expected;
  const at::Tensor together = model->Hidden(ids, 0), direction = at::randn_like(together);
  for (int64_t i = 0; i < 3; ++i) alone.push_back(model->Hidden(ids[i], 0));
  at::cat(alone).backward(direction);
  EXPECT_TRUE(at::allclose(together, at::cat(alone), 1e-5, 1e-5));
  for (Parameter& parameter : model->parameters()) {
    const at::Tensor& gradient = parameter.value.grad();
    expected.push_back(gradient.defined() ? gradient.clone() : at::Tensor());
    parameter.value.mutable_grad().reset();
  }
  together.backward(direction);
  for (size_t i = 0; i < expected.size(); ++i) {
    const Parameter& parameter = model->parameters()[i];
    ASSERT_EQ(parameter.value.grad().defined(), expected[i].defined());
    if (!expected[i].defined()) continue;
    EXPECT_LT((parameter.value.grad() - expected[i]).norm().item<double>(),
              2e-5 * expected[i].norm().item<double>() + 1e-6)  // a key bias of OPT has rounding for a gradient

        << parameter.name;
  }
}

INSTANTIATE_TEST_SUITE_P(All, GoldenModel, testing::ValuesIn(GoldenModels()),
                         [](const auto& info) { return info.param; });

TEST(LanguageModel, ParametersAreViewsIntoOneFlatTensor) {
  const std::unique_ptr<LanguageModel> model = LoadLanguageModel(kModels / "gpt2");
  const at::Tensor ids = at::arange(20, at::kLong), before = model->Logits(ids).detach();
  int64_t end = 0;
  for (const Parameter& parameter : model->parameters()) {
    EXPECT_EQ(parameter.offset % 16, 0);
    EXPECT_GE(parameter.offset, end);
    EXPECT_EQ(parameter.value.data_ptr<float>(), model->flat().data_ptr<float>() + parameter.offset);
    EXPECT_TRUE(parameter.value.requires_grad() && parameter.value.is_leaf() && parameter.value.is_contiguous());
    end = parameter.offset + parameter.count;
  }
  const at::Tensor base = model->flat(), copy = base.clone();
  model->UseFlat(copy);
  EXPECT_TRUE(model->Logits(ids).equal(before));
  copy.mul_(1.5);  // the next forward must see it
  EXPECT_FALSE(model->Logits(ids).equal(before));
  model->UseFlat(base);
  EXPECT_TRUE(model->Logits(ids).equal(before));
}

TEST(LanguageModel, SequenceMustFitTheWindow) {
  const std::unique_ptr<LanguageModel> model = LoadLanguageModel(kModels / "llama_mha");
  EXPECT_EQ(model->max_positions(), 64);
  EXPECT_NO_THROW(model->Logits(at::zeros({64}, at::kLong)));
  EXPECT_THROW(model->Logits(at::zeros({65}, at::kLong)), Error);
  EXPECT_THROW(model->Logits(at::zeros({0}, at::kLong)), Error);
}

TEST(LanguageModel, UnimplementedConfigurationIsNamed) {
  const std::vector<std::tuple<std::string, std::string, json>> cases = {
      {"llama_mha", "hidden_act", "relu6"},
      {"llama_mha", "model_type", "mamba"},
      {"llama_mha", "sliding_window", 8},
      {"llama_mha", "rope_parameters", json::object({{"rope_type", "longrope"}})},
      {"llama_mha", "rope_parameters", json::object({{"rope_type", "default"}, {"mrope_section", {1, 2}}})},
      {"llama_mha", "num_key_value_heads", 3},
      {"llama_mha", "hidden_size", "wide"},
      {"llama_mha", "num_hidden_layers", 0},
      {"llama_mha", "vocab_size", nullptr},
      {"llama_mha", "quantization_config", json::object({{"bits", 4}})},
      {"gpt2", "add_cross_attention", true},
      {"gpt2", "activation_function", "quick_gelu"},
      {"gpt2", "n_head", 5}};
  for (const auto& [model, field, value] : cases) {
    Scratch scratch(model);
    scratch.Set(field, value);
    EXPECT_THAT(LoadFailure(scratch.folder()), testing::AllOf(HasSubstr("config.json"), HasSubstr(field)));
  }
}

// Names that published checkpoints have for the same tensors.
TEST(LanguageModel, OtherNamesOfTensorsGiveTheSameBits) {
  const at::Tensor ids = at::arange(3, 43, at::kLong);
  const c10::NoGradGuard no_grad;
  for (const auto& [model, pattern, replacement] :
       {std::tuple("gpt2", "^transformer\\.", ""),
        {"opt", "^model\\.decoder\\.", "decoder."},
        {"opt", "^model\\.decoder\\.", ""},
        {"llama_mha", "^model\\.", ""},
        // transformers 5's for Gemma 3 that sees pictures, and a text model cut out of it
        {"gemma3", "^language_model\\.model", "model.language_model"},
        {"gemma3", "^(vision_tower|multi_modal_projector)", "model.$1"},
        {"gemma3", "^language_model\\.model", "model"}}) {
    SCOPED_TRACE(std::string(model) + " " + replacement);
    const Scratch renamed(model);
    RenameTensors(renamed.folder() / "model.safetensors", pattern, replacement);
    EXPECT_TRUE(
        LoadLanguageModel(renamed.folder())->Logits(ids).equal(LoadLanguageModel(kModels / model)->Logits(ids)));
  }
}

TEST(LanguageModel, ATensorUnderTwoNamesIsNamed) {
  const Scratch twice("gpt2_untied");
  RenameTensors(twice.folder() / "model.safetensors", "^lm_head", "wte");
  EXPECT_THAT(LoadFailure(twice.folder()),
              testing::AllOf(HasSubstr("missing tensors: lm_head.weight"), HasSubstr("unused tensors: ")));
}

TEST(LanguageModel, AFolderOfPickledWeightsSaysHowToConvertThem) {
  const Scratch pickled("gpt2");
  fs::rename(pickled.folder() / "model.safetensors", pickled.folder() / "pytorch_model.bin");
  const Error error = Caught([&] { LoadLanguageModel(pickled.folder()); });
  EXPECT_THAT(error.message(), HasSubstr("pytorch_model.bin"));
  EXPECT_THAT(error.what(), HasSubstr("save_pretrained('" + pickled.folder().string() + "')"));
}

TEST(LanguageModel, AllMissingUnusedAndWrongTensorsAreListed) {
  Scratch more("llama_mha"), fewer("llama_biases"), wider("gpt2"), untied("gpt2");
  more.Set("num_hidden_layers", 3);
  EXPECT_THAT(LoadFailure(more.folder()),
              testing::AllOf(HasSubstr("missing"), HasSubstr("model.layers.2.mlp.up_proj.weight"),
                             HasSubstr("model.layers.2.input_layernorm.weight")));
  fewer.Set("mlp_bias", false);
  EXPECT_THAT(LoadFailure(fewer.folder()),
              testing::AllOf(HasSubstr("unused"), HasSubstr("model.layers.0.mlp.up_proj.bias"),
                             HasSubstr("model.layers.1.mlp.down_proj.bias")));
  wider.Set("n_inner", 256);
  EXPECT_THAT(LoadFailure(wider.folder()),
              testing::AllOf(HasSubstr("transformer.h.1.mlp.c_fc.weight"), HasSubstr("[32, 256]")));
  untied.Set("tie_word_embeddings", false);
  EXPECT_THAT(LoadFailure(untied.folder()), HasSubstr("missing tensors: lm_head.weight"));
  Scratch tied("gpt2_untied");
  tied.Set("tie_word_embeddings", true);
  EXPECT_THAT(LoadFailure(tied.folder()), HasSubstr("lm_head.weight differs from transformer.wte.weight"));
}

}  // namespace
}  // namespace hullft::worker
