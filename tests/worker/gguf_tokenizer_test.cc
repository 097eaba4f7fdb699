// The tokenizers inside GGUF files: ids and texts against the tokenizer.json that they were made of.
#include "common/gguf/gguf_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "common/error.h"
#include "common/files.h"
#include "common/tokenizer/tokenizer.h"

namespace hullft {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

const fs::path kGoldens = HULLFT_GOLDENS;

struct TokenizerCase {
  const char *file, *original;
};

class GgufTokenizers : public testing::TestWithParam<TokenizerCase> {
 protected:
  const std::unique_ptr<Tokenizer> ours_ =
      Tokenizer::Load(kGoldens / "gguf" / (std::string(GetParam().file) + ".gguf"));
  std::string Original(const std::string& ending) const {
    return (kGoldens / "tokenizers" / (GetParam().original + ending)).string();
  }
};

TEST_P(GgufTokenizers, GiveTheIdsAndTextsOfTheReference) {
  const json golden = json::parse(ReadFile(Original(".cases.json")));
  ASSERT_GE(golden["cases"].size(), 258u);
  for (const json& golden_case : golden["cases"]) {
    const auto ids = golden_case["ids"].get<std::vector<int32_t>>();
    const std::string text = golden_case["text"].get<std::string>();
    EXPECT_EQ(ours_->Encode(text, false), ids) << golden_case["text"];
    EXPECT_EQ(ours_->Decode(ids), golden_case["decoded"].get<std::string>()) << golden_case["text"];
    if (golden_case.contains("ids_special")) {
      EXPECT_EQ(ours_->Encode(text, true), golden_case["ids_special"].get<std::vector<int32_t>>());
    }
  }
}

// Texts of pieces that are cut in ways of their own, in any order; the original is checked by golden_test.
TEST_P(GgufTokenizers, GiveTheIdsOfTheOriginalForRandomTexts) {
  const auto original = Tokenizer::Load(Original(".tokenizer.json"));
  const std::vector<std::string> parts = {
      " ",     "  ",  "       ", "\n",     "\r\n",    "\t",     "\t\t",       "\u2581", "\u2581\u2581", "the",
      "The",   "'s",  "ing",     "x",      "12345",   "\u0663", ".",          "<",      "<b>",          "</s>",
      "<unk>", "<s>", "(",       "\u00e9", "e\u0301", "\u4e2d", "\U0001f600", "\u00a0"};
  uint32_t state = 1;
  for (int i = 0; i < 2000; ++i) {
    std::string text;
    for (int n = i % 40; n >= 0; --n) {
      state = state * 1664525 + 1013904223;  // Numerical Recipes' generator
      text += parts[(state >> 8) % parts.size()];
    }
    ASSERT_EQ(ours_->Encode(text, false), original->Encode(text, false)) << json(text);
  }
}

INSTANTIATE_TEST_SUITE_P(All, GgufTokenizers,
                         testing::Values(TokenizerCase{"llama", "gpt2_1000"}, TokenizerCase{"llama3", "llama3_3000"},
                                         TokenizerCase{"gpt2", "smollm_like_2000"}, TokenizerCase{"olmo2", "qwen_3000"},
                                         TokenizerCase{"gptneox", "neox_2000"}, TokenizerCase{"phi3", "spbpe_2000"},
                                         TokenizerCase{"gemma", "gemma_1700"}, TokenizerCase{"gemma3", "gemma_1700"}),
                         [](const auto& info) { return std::string(info.param.file); });

class ChangedTokenizer : public testing::Test {
 protected:
  ~ChangedTokenizer() override { fs::remove(path_); }
  // The tokenizer of a golden with the first `before` replaced by `after`, of the same length.
  json Changed(const std::string& file, const std::string& before, const std::string& after) {
    std::string bytes = ReadFile(kGoldens / "gguf" / file);
    const size_t at = bytes.find(before);
    EXPECT_NE(at, std::string::npos) << before;
    std::ofstream(path_, std::ios::binary) << bytes.replace(at, after.size(), after);
    return GgufTokenizer(GgufFile(path_));
  }
  std::string Refusal(const std::string& file, const std::string& before, const std::string& after) {
    try {
      Changed(file, before, after);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::kData);
      return error.message();
    }
    return "";
  }
  const fs::path path_ = fs::temp_directory_path() / ("hullft_gguf_tokenizer_" + std::to_string(::getpid()) + ".gguf");
};

TEST_F(ChangedTokenizer, ATokenBeforeTheTextIsLlama3sUnlessTheFileSaysOtherwise) {
  EXPECT_EQ(Changed("llama3.gguf", "llama-bpe", "llama-bpe")["post_processor"]["type"], "TemplateProcessing");
  EXPECT_TRUE(Changed("llama.gguf", "gpt-2", "gpt-2")["post_processor"].is_null());
}

// Without a space before the text, runs of spaces may be tokens; with it the parts between them would each get one.
TEST_F(ChangedTokenizer, WhatIsNotImplementedIsNamed) {
  EXPECT_THAT(Refusal("llama3.gguf", "llama-bpe", "llama-bpf"),
              HasSubstr("tokenizer.ggml.pre is \"llama-bpf\"; of these gpt-2"));
  EXPECT_THAT(Refusal("olmo2.gguf", "tokenizer.ggml.pre", "tokenizer.ggml.prf"),
              HasSubstr("tokenizer.ggml.pre is null"));
  EXPECT_THAT(Refusal("gemma.gguf", "add_space_prefix" + std::string("\7\0\0\0\0", 5),
                      "add_space_prefix" + std::string("\7\0\0\0\1", 5)),
              HasSubstr("which is implemented only where add_space_prefix is false"));
  EXPECT_THAT(Refusal("gemma.gguf", "tokenizer.ggml.scores", "tokenizer.ggml.stores"),
              HasSubstr("tokenizer.ggml.scores is missing"));
}

}  // namespace
}  // namespace hullft
