// GGUF files: values of every type, models and tokenizers against the same ones of Hugging Face, and damaged files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "common/files.h"
#include "common/gguf/gguf_tokenizer.h"
#include "common/tokenizer/tokenizer.h"
#include "tests/caught.h"
#include "tests/worker/golden_tensor.h"
#include "worker/checkpoint/checkpoint.h"
#include "worker/checkpoint/gguf_model.h"
#include "worker/memory_plan.h"
#include "worker/models/language_model.h"
#include "worker/tuner.h"

namespace hullft::worker {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

const fs::path kGoldens = HULLFT_GOLDENS;

TEST(Gguf, ValuesOfEveryTypeAreTheReferences) {
  const Checkpoint ours(kGoldens / "gguf/types.gguf");
  const SafetensorsFile golden(kGoldens / "gguf/types.safetensors");
  ASSERT_EQ(ours.tensors().size(), golden.tensors().size());
  for (const auto& [name, tensor] : ours.tensors()) {
    EXPECT_EQ(tensor.dtype, name);
    EXPECT_EQ(tensor.shape, golden.tensors().at(name).shape);
    std::vector<float> values(static_cast<size_t>(ElementCount(tensor.shape)));
    CopyAsFloat32(name, tensor, values);
    const at::Tensor expected = Golden(golden, name);
    for (int64_t i = 0; i < expected.numel(); ++i)
      ASSERT_EQ(values[static_cast<size_t>(i)], expected.const_data_ptr<float>()[i]) << name << " " << i;
  }
}

class GgufModel : public testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(GgufModel, GivesTheLogitsOfTheFolderThatItWasMadeOf) {
  const auto [name, original] = GetParam();
  const fs::path file = kGoldens / "gguf" / (std::string(name) + ".gguf"), folder = kGoldens / "models" / original;
  const SafetensorsFile golden(folder / "golden.safetensors");
  const auto model = LoadLanguageModel(file), same = LoadLanguageModel(folder);
  EXPECT_EQ(model->max_positions(), same->max_positions());
  EXPECT_EQ(ReadModelShape(file).parameters, ReadModelShape(folder).parameters);
  const at::Tensor ids = Golden(golden, "input_ids")[0];
  EXPECT_LT((model->Logits(ids) - Golden(golden, "logits")[0]).abs().max().item<float>(), 1e-5);
  ASSERT_EQ(model->parameters().size(), same->parameters().size());
  for (size_t i = 0; i < model->parameters().size(); ++i)
    EXPECT_TRUE(model->parameters()[i].value.equal(same->parameters()[i].value)) << same->parameters()[i].name;
}

INSTANTIATE_TEST_SUITE_P(All, GgufModel,
                         testing::Values(std::pair("llama", "llama_gqa_tied"), std::pair("gpt2", "gpt2")),
                         [](const auto& info) { return std::string(info.param.first); });

TEST(Gguf, AModelIsFinetuned) {
  const auto tuner = Tuner::Load({.model_dir = (kGoldens / "gguf/llama.gguf").string(), .threads = 1});
  const std::vector<int32_t> tokens = {5, 9, 40, 7, 100, 33, 12, 90};
  const std::vector<TrainSequence> train = {{tokens, 6}};
  const std::vector<EvalDocument> eval = {{tokens, 20}};
  const TuneResult result =
      tuner->Run({.learning_rate = 1e-2, .refresh = 2, .max_length = 64, .prefix_token = 0}, train, eval);
  EXPECT_GT(result.after.at(0).log_likelihood, result.before.at(0).log_likelihood);
}

TEST(Gguf, TheTokenizerInsideGivesTheSameIds) {
  const auto tokenizer = Tokenizer::Load(kGoldens / "gguf/llama.gguf");
  const json golden = json::parse(ReadFile(kGoldens / "tokenizers/gpt2_1000.cases.json"));
  for (const json& golden_case : golden["cases"]) {
    const auto ids = golden_case["ids"].get<std::vector<int32_t>>();
    EXPECT_EQ(tokenizer->Encode(golden_case["text"].get<std::string>(), false), ids);
    EXPECT_EQ(tokenizer->Decode(ids), golden_case["decoded"].get<std::string>());
  }
}

class DamagedGguf : public testing::Test {
 protected:
  DamagedGguf() : path_(fs::temp_directory_path() / ("hullft_gguf_" + std::to_string(::getpid()) + ".gguf")) {}
  ~DamagedGguf() override { fs::remove(path_); }
  // How a file of these bytes is refused; "" when it is not.
  std::string Refusal(const std::string& bytes) {
    std::ofstream(path_, std::ios::binary) << bytes;
    try {
      const GgufFile file(path_);
      GgufConfig(file);
      GgufTensors(file);
      GgufTokenizer(file);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::kData) << error.what();
      EXPECT_THAT(error.message(), HasSubstr(path_.string()));
      return error.message();
    }
    return "";
  }
  // llama.gguf with the bytes after the first occurrence of `before` replaced.
  std::string Changed(const std::string& before, const std::string& after) {
    std::string bytes = whole_;
    const size_t at = bytes.find(before);
    EXPECT_NE(at, std::string::npos) << before;
    return bytes.replace(at + before.size(), after.size(), after);
  }
  static std::string U32(uint32_t value) { return {reinterpret_cast<const char*>(&value), 4}; }
  static std::string U64(uint64_t value) { return {reinterpret_cast<const char*>(&value), 8}; }

  const std::string whole_ = ReadFile(kGoldens / "gguf/llama.gguf");
  const fs::path path_;
};

TEST_F(DamagedGguf, EveryCutIsRefused) {
  EXPECT_EQ(Refusal(whole_), "");
  for (size_t length = 0; length < whole_.size(); length += 997)
    EXPECT_NE(Refusal(whole_.substr(0, length)), "") << length;
}

TEST_F(DamagedGguf, WhatIsWrongIsNamed) {
  EXPECT_THAT(Refusal("GGML" + whole_.substr(4)), HasSubstr("does not begin with GGUF"));
  EXPECT_THAT(Refusal(Changed("GGUF", U32(1))), HasSubstr("of version 1"));
  EXPECT_THAT(Refusal(Changed("GGUF" + U32(3), U64(~uint64_t{0}))), HasSubstr("does not fit"));
  EXPECT_THAT(Refusal(Changed("general.architecture", U32(77))),
              HasSubstr("metadata general.architecture has the type 77"));
  EXPECT_THAT(Refusal(Changed("general.architecture" + U32(8) + U64(5), "bloom")),
              HasSubstr("general.architecture is \"bloom\""));
  EXPECT_THAT(Refusal(Changed("general.architecture" + U32(8), U64(uint64_t{1} << 60))), HasSubstr("does not fit"));
  EXPECT_THAT(Refusal(Changed("general.architecture" + U32(8) + U64(5), "\xFF")), HasSubstr("not UTF-8"));
  EXPECT_THAT(Refusal(Changed("llama.feed_forward_", "widths")), HasSubstr("llama.feed_forward_widths"));
  EXPECT_THAT(Refusal(Changed("tokenizer.ggml.pre" + U32(8) + U64(5), "odd-1")),
              HasSubstr("tokenizer.ggml.pre is \"odd-1\""));
  EXPECT_THAT(Refusal(Changed("tokenizer.ggml.tokens" + U32(9) + U32(8), U64(uint64_t{1} << 50))),
              HasSubstr("tokenizer.ggml.tokens: a list of"));
  const std::string norm = "output_norm.weight" + U32(1) + U64(32);
  EXPECT_THAT(Refusal(Changed(norm, U32(7))), HasSubstr("output_norm.weight has ggml's type 7"));
  EXPECT_THAT(Refusal(Changed(norm, U32(12))), HasSubstr("output_norm.weight: rows of 32"));
  EXPECT_THAT(Refusal(Changed(norm + U32(0), U64(uint64_t{1} << 62))), HasSubstr("lies beyond"));
  EXPECT_THAT(Refusal(Changed("output_norm.weight", U32(9))), HasSubstr("has 9 dimensions"));
  EXPECT_THAT(Refusal(Changed("output_norm.weight" + U32(1), U64(~uint64_t{0}))), HasSubstr("too large"));
}

}  // namespace
}  // namespace hullft::worker
