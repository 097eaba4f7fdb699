// Every tokenizer of tests/goldens against the ids and texts that the reference gave, and on every character of
// Unicode.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "common/files.h"
#include "common/tokenizer/tokenizer.h"
#include "common/tokenizer/unicode.h"

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
  ASSERT_GE(golden["cases"].size(), 258u);
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

// FNV-1a over ids as little-endian bytes, as scripts/dev/make_tokenizer_goldens.py has it.
uint64_t Digest(uint64_t state, const std::vector<int32_t>& ids) {
  for (const int32_t id : ids) {
    for (int shift = 0; shift < 32; shift += 8)
      state = (state ^ (static_cast<uint32_t>(id) >> shift & 0xFF)) * 0x100000001B3u;
  }
  return state;
}

class SweepTest : public GoldenTest {};

// Every character at the beginning of a text and between two letters; a digest of each 4,096 characters.
TEST_P(SweepTest, GivesTheIdsOfTheReferenceForEveryCharacter) {
  const auto tokenizer = Tokenizer::Load(TokenizerFile(GetParam()));
  const auto all = nlohmann::json::parse(ReadFile(fs::path(HULLFT_GOLDENS) / "tokenizers" / "unicode.json"));
  const auto& golden = all.at(GetParam());
  constexpr char32_t kBlock = 0x1000;
  ASSERT_EQ(golden.size(), 0x110000 / kBlock);
  for (char32_t block = 0; block < golden.size(); ++block) {
    uint64_t state = 0xCBF29CE484222325u;
    for (char32_t code = block * kBlock; code < (block + 1) * kBlock; ++code) {
      if (code >= 0xD800 && code < 0xE000) continue;
      std::string character;
      AppendUtf8(code, &character);
      state = Digest(state, tokenizer->Encode(fmt::format("{0}a{0}b", character), false));
    }
    EXPECT_EQ(fmt::format("{:016x}", state), golden[block].get<std::string>())
        << fmt::format("U+{0:X}000 to U+{0:X}FFF", static_cast<uint32_t>(block));
  }
}

INSTANTIATE_TEST_SUITE_P(All, GoldenTest,
                         ::testing::Values("gpt2_1000", "smollm_like_2000", "llama3_3000", "qwen_3000", "roberta_2000",
                                           "neox_2000", "spbpe_2000", "bert_uncased_2000", "smollm2", "minilm",
                                           "xlmr_2000", "unigram_bytes_1500", "metaspace_bpe_1500", "gemma_1700",
                                           "o200k_1000", "deepseek_1000", "patterns_1000", "clip_1000",
                                           "llama2_legacy_1000", "word_pieces_1000"),
                         [](const auto& info) { return std::string(info.param); });

INSTANTIATE_TEST_SUITE_P(All, SweepTest,
                         ::testing::Values("gpt2_1000", "llama3_3000", "qwen_3000", "bert_uncased_2000", "xlmr_2000",
                                           "unigram_bytes_1500", "metaspace_bpe_1500", "gemma_1700", "o200k_1000",
                                           "patterns_1000", "word_pieces_1000"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace hullft
