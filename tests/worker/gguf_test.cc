// GGUF files: values of every type, models and tokenizers against the same ones of Hugging Face, and damaged files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "common/files.h"
#include "common/gguf/gguf_tokenizer.h"
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

// changed: fields of the folder's config.json of which a GGUF file knows one value only.
struct GgufCase {
  const char *name, *original, *changed;
};

class GgufModel : public testing::TestWithParam<GgufCase> {
 protected:
  // The folder, or a copy with the changed fields.
  fs::path Original() {
    const fs::path folder = kGoldens / "models" / GetParam().original;
    const json changed = json::parse(GetParam().changed);
    if (changed.empty()) return folder;
    std::string name = (fs::temp_directory_path() / "hullft_gguf_XXXXXX").string();
    copy_ = ::mkdtemp(name.data());
    json config = json::parse(ReadFile(folder / "config.json"));
    config.update(changed);
    std::ofstream(copy_ / "config.json") << config;
    fs::copy_file(folder / "model.safetensors", copy_ / "model.safetensors");
    return copy_;
  }
  ~GgufModel() override { fs::remove_all(copy_); }
  fs::path copy_;
};

TEST_P(GgufModel, GivesTheLogitsOfTheFolderThatItWasMadeOf) {
  const fs::path file = kGoldens / "gguf" / (std::string(GetParam().name) + ".gguf"), folder = Original();
  const SafetensorsFile golden(kGoldens / "models" / GetParam().original / "golden.safetensors");
  const auto model = LoadLanguageModel(file), same = LoadLanguageModel(folder);
  EXPECT_EQ(model->max_positions(), same->max_positions());
  EXPECT_EQ(ReadModelShape(file).parameters, ReadModelShape(folder).parameters);
  const at::Tensor ids = Golden(golden, "input_ids")[0], logits = model->Logits(ids);
  EXPECT_LT((logits - same->Logits(ids)).abs().max().item<float>(), 2e-6);
  const at::Tensor reference = copy_.empty() ? Golden(golden, "logits")[0] : logits;
  EXPECT_LT((logits - reference).abs().max().item<float>(), 1e-5);
  ASSERT_EQ(model->parameters().size(), same->parameters().size());
  for (size_t i = 0; i < model->parameters().size(); ++i) {
    const at::Tensor &ours = model->parameters()[i].value, &theirs = same->parameters()[i].value;
    const bool gemma_norm = fs::path(file).filename().string().starts_with("gemma") && ours.dim() == 1;
    // 1 has been added to Gemma's norms and taken away again.
    EXPECT_TRUE(gemma_norm ? (ours - theirs).abs().max().item<float>() < 1e-7 : ours.equal(theirs))
        << same->parameters()[i].name;
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, GgufModel,
    testing::Values(GgufCase{"llama", "llama_gqa_tied", "{}"}, GgufCase{"gpt2", "gpt2", "{}"},
                    GgufCase{"llama3", "llama3_rope", "{}"}, GgufCase{"llama_linear", "llama_linear_rope", "{}"},
                    GgufCase{"llama_yarn", "llama_yarn_rope", "{}"}, GgufCase{"mistral", "mistral_sliding8", "{}"},
                    GgufCase{"olmo2", "olmo2", "{}"}, GgufCase{"gptneox", "gpt_neox", "{}"},
                    GgufCase{"gptneox_sequential", "gpt_neox_sequential_rot1", R"({"hidden_act": "gelu"})"},
                    GgufCase{"phi3", "phi3_longrope", "{}"}, GgufCase{"gemma", "gemma", "{}"},
                    GgufCase{"gemma2", "gemma2", R"({"query_pre_attn_scalar": 8})"},
                    GgufCase{"gemma3", "gemma3_text", R"({"query_pre_attn_scalar": 8})"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(Gguf, AModelIsFinetuned) {
  const auto tuner = Tuner::Load({.model_dir = (kGoldens / "gguf/llama.gguf").string(), .threads = 1});
  const std::vector<int32_t> tokens = {5, 9, 40, 7, 100, 33, 12, 90};
  const std::vector<TrainSequence> train = {{tokens, 6}};
  const std::vector<EvalDocument> eval = {{tokens, 20}};
  const TuneResult result =
      tuner->Run({.learning_rate = 1e-2, .refresh = 2, .max_length = 64, .prefix_token = 0}, train, eval);
  EXPECT_GT(result.after.at(0).log_likelihood, result.before.at(0).log_likelihood);
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
      if (!file.Get("tokenizer.ggml.model").is_null()) GgufTokenizer(file);
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

  std::string whole_ = ReadFile(kGoldens / "gguf/llama.gguf");
  const fs::path path_;
};

TEST_F(DamagedGguf, EveryCutIsRefused) {
  EXPECT_EQ(Refusal(whole_), "");
  for (size_t length = 0; length < whole_.size(); length += 997)
    EXPECT_NE(Refusal(whole_.substr(0, length)), "") << length;
}

// The first part of a model in parts has the whole model's metadata and not its tensors.
TEST_F(DamagedGguf, PartsOfAModelAreRefused) {
  const std::string split = U64(11) + "split.count" + U32(2) + std::string("\3\0", 2);  // UINT16 3
  std::string bytes = whole_;
  bytes.insert(24, split);  // the first of the metadata
  uint64_t keys = 0;
  std::memcpy(&keys, bytes.data() + 16, sizeof keys);
  EXPECT_THAT(Refusal(bytes.replace(16, 8, U64(keys + 1))), HasSubstr("is one of 3 parts of a model"));
}

TEST_F(DamagedGguf, FusedRowsMustBeOfWholeHeads) {
  whole_ = ReadFile(kGoldens / "gguf/gptneox.gguf");
  EXPECT_EQ(Refusal(Changed("gptneox.attention.head_count" + U32(4), U32(4))), "");
  for (const uint32_t heads : {0u, 5u, 64u})
    EXPECT_NE(Refusal(Changed("gptneox.attention.head_count" + U32(4), U32(heads))), "") << heads;
}

// Phi-3's lists of factors are tensors, and what scales rotations otherwise is named.
TEST_F(DamagedGguf, RotationsThatAreNotImplementedAreNamed) {
  const auto changed = [](const std::string& file, const std::string& before, const std::string& after) {
    std::string bytes = ReadFile(kGoldens / "gguf" / file);
    const size_t at = bytes.find(before);
    EXPECT_NE(at, std::string::npos);
    return bytes.replace(at, after.size(), after);
  };
  EXPECT_EQ(Refusal(changed("phi3.gguf", "rope_factors_short", "rope_factors_short")), "");
  EXPECT_THAT(Refusal(changed("phi3.gguf", "rope_factors_short", "rope_factors_shore")),
              HasSubstr("tensor rope_factors_short.weight is missing"));
  EXPECT_THAT(Refusal(changed("phi3.gguf", "tokenizer.ggml.scores", "tokenizer.ggml.stores")),
              HasSubstr("tokenizer.ggml.scores is missing"));
  EXPECT_THAT(Refusal(changed("phi3.gguf", "rope.scaling.attn_factor", "rope.scaling.attn_fickle")),
              HasSubstr("phi3.rope.scaling.attn_fickle"));
  EXPECT_THAT(Refusal(changed("llama_yarn.gguf", "yarn_beta_fast", "yarn_beta_past")),
              HasSubstr("llama.rope.scaling.yarn_beta_past"));
  EXPECT_THAT(Refusal(changed("llama_yarn.gguf", "yarn_ext_factor" + U32(6), "yarn_ext_factor" + U32(6) + "\1")),
              HasSubstr("llama.rope.scaling.yarn_ext_factor is not 1"));
  EXPECT_THAT(Refusal(changed("gemma3.gguf", "linear", "lineal")), HasSubstr("\"lineal\", not implemented"));
  EXPECT_THAT(Refusal(changed("gemma2.gguf", "attn_logit_softcapping", "attn_logit_softcatting")),
              HasSubstr("gemma2.attn_logit_softcatting"));
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
  EXPECT_THAT(
      Refusal(Changed(norm, U32(20))),
      HasSubstr("output_norm.weight has ggml's type 20; F32, F16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, "
                "Q5_K, Q6_K, BF16 are implemented"));
  EXPECT_THAT(Refusal(Changed(norm, U32(12))), HasSubstr("output_norm.weight: rows of 32"));
  EXPECT_THAT(Refusal(Changed(norm + U32(0), U64(uint64_t{1} << 62))), HasSubstr("lies beyond"));
  EXPECT_THAT(Refusal(Changed("output_norm.weight", U32(9))), HasSubstr("has 9 dimensions"));
  EXPECT_THAT(Refusal(Changed("output_norm.weight" + U32(1), U64(~uint64_t{0}))), HasSubstr("too large"));
}

}  // namespace
}  // namespace hullft::worker
