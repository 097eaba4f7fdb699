// Every tokenizer of tests/goldens against the ids and texts that the reference gave.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "common/files.h"
#include "common/tokenizer/tokenizer.h"

namespace hullft {
namespace {
namespace fs = std::filesystem;

fs::path TokenizerFile(const std::string& name) {
  const char* data = std::getenv("HULLFT_DATA");
  const fs::path models = fs::path(data != nullptr ? data : HULLFT_SOURCE_DIR "/data") / "models";
  if (name == "smollm2") return models / "smollm2-135m-instruct" / "tokenizer.json";
  if (name == "minilm") return models / "all-minilm-l6-v2" / "tokenizer.json";
  return fs::path(HULLFT_GOLDENS) / "tokenizers" / (name + ".tokenizer.json");
}

class GoldenTest : public ::testing::TestWithParam<const char*> {};

TEST_P(GoldenTest, GivesTheIdsAndTextsOfTheReference) {
  const std::string name = GetParam();
  ASSERT_TRUE(fs::exists(TokenizerFile(name))) << TokenizerFile(name) << " is missing: run scripts/get_models";
  const auto tokenizer = Tokenizer::Load(TokenizerFile(name));
  const auto golden = nlohmann::json::parse(ReadFile(fs::path(HULLFT_GOLDENS) / "tokenizers" / (name + ".cases.json")));
  EXPECT_EQ(tokenizer->vocab_size(), golden["vocab_size"].get<int>());
  ASSERT_EQ(golden["cases"].size(), 258u);
  for (const auto& golden_case : golden["cases"]) {
    const auto text = golden_case["text"].get<std::string>();
    const auto ids = golden_case["ids"].get<std::vector<int32_t>>();
    const auto special =
        golden_case.contains("ids_special") ? golden_case["ids_special"].get<std::vector<int32_t>>() : ids;
    EXPECT_EQ(tokenizer->Encode(text, false), ids) << golden_case["text"];
    EXPECT_EQ(tokenizer->Encode(text, true), special) << golden_case["text"];
    EXPECT_EQ(tokenizer->Decode(ids), golden_case["decoded"].get<std::string>()) << golden_case["text"];
    const auto [front, back] = tokenizer->num_special();
    EXPECT_EQ(special.size() - ids.size(), static_cast<size_t>(front + back));
  }
}

INSTANTIATE_TEST_SUITE_P(All, GoldenTest,
                         ::testing::Values("gpt2_1000", "smollm_like_2000", "llama3_3000", "qwen_3000", "roberta_2000",
                                           "neox_2000", "spbpe_2000", "bert_uncased_2000", "smollm2", "minilm"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace hullft
