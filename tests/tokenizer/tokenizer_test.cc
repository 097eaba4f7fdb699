// Properties, threads and bad files.
#include "common/tokenizer/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "common/error.h"
#include "common/files.h"
#include "common/hash.h"
#include "tests/caught.h"

namespace hullft {
namespace {
namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;

fs::path Golden(const std::string& name) {
  return fs::path(HULLFT_GOLDENS) / "tokenizers" / (name + ".tokenizer.json");
}

class TokenizerTest : public ::testing::Test {
 protected:
  TokenizerTest() : folder_(fs::temp_directory_path() / ("hullft_tokenizer_" + std::to_string(::getpid()))) {
    fs::create_directories(folder_);
  }
  ~TokenizerTest() override { fs::remove_all(folder_); }

  // A golden tokenizer after a change.
  std::unique_ptr<Tokenizer> LoadChanged(const std::string& name, const std::function<void(json&)>& change) {
    json file = json::parse(ReadFile(Golden(name)));
    change(file);
    WriteFileAtomic(folder_ / "tokenizer.json", file.dump());
    return Tokenizer::Load(folder_);
  }
  // The message with which a changed golden tokenizer is refused.
  std::string Refusal(const std::string& name, const std::function<void(json&)>& change) {
    const Error error = Caught([&] { LoadChanged(name, change); });
    EXPECT_EQ(error.code(), Code::kData) << error.what();
    EXPECT_THAT(error.message(), HasSubstr((folder_ / "tokenizer.json").string()));
    return error.message();
  }
  fs::path folder_;
};

std::string RandomUtf8(std::mt19937* random) {
  std::string text;
  for (int i = std::uniform_int_distribution<int>(0, 80)(*random); i > 0; --i) {
    const int kind = std::uniform_int_distribution<int>(0, 9)(*random);
    if (kind < 7) {
      text.push_back(static_cast<char>(std::uniform_int_distribution<int>(0x20, 0x7E)(*random)));
    } else if (kind < 8) {
      text += "\n \t"[std::uniform_int_distribution<int>(0, 2)(*random)];
    } else if (kind < 9) {
      text += "\u00E9";
    } else {
      const int code = std::uniform_int_distribution<int>(0x800, 0xCFFF)(*random);
      text += {static_cast<char>(0xE0 | code >> 12), static_cast<char>(0x80 | (code >> 6 & 63)),
               static_cast<char>(0x80 | (code & 63))};
    }
  }
  return text;
}

TEST_F(TokenizerTest, ByteLevelTextsComeBackWhole) {
  for (const char* name : {"gpt2_1000", "llama3_3000", "smollm_like_2000", "roberta_2000"}) {
    const auto tokenizer = Tokenizer::Load(Golden(name));
    std::mt19937 random(3);
    for (int round = 0; round < 2000; ++round) {
      const std::string text = RandomUtf8(&random);
      ASSERT_EQ(tokenizer->Decode(tokenizer->Encode(text, false)), text) << name;
    }
    EXPECT_EQ(tokenizer->dropped_bytes(), 0);
  }
}

TEST_F(TokenizerTest, EncodingTwiceIsEncodingOnce) {  // the second time words come from the cache
  const auto tokenizer = Tokenizer::Load(Golden("smollm_like_2000"));
  std::mt19937 random(5);
  for (int round = 0; round < 20; ++round) {
    const std::string text = RandomUtf8(&random);
    const auto once = tokenizer->Encode(text, true);
    ASSERT_EQ(tokenizer->Encode(text, true), once);
    ASSERT_EQ(Tokenizer::Load(Golden("smollm_like_2000"))->Encode(text, true), once);
  }
}

TEST_F(TokenizerTest, ThreadsGetTheSameIds) {
  const auto tokenizer = Tokenizer::Load(Golden("llama3_3000")), alone = Tokenizer::Load(Golden("llama3_3000"));
  std::mt19937 random(4);
  std::vector<std::string> texts;
  std::vector<std::vector<int32_t>> expected;
  for (int i = 0; i < 300; ++i) {
    texts.push_back(RandomUtf8(&random));
    expected.push_back(alone->Encode(texts.back(), true));
  }
  std::vector<std::thread> threads;
  std::vector<int> wrong(4);
  for (size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < 5 * texts.size(); ++i) {
        const size_t at = i * (2 * t + 7) % texts.size();  // each thread in another order
        wrong[t] += tokenizer->Encode(texts[at], true) != expected[at];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4, 0));
}

TEST_F(TokenizerTest, BytesWithoutATokenVanishAndAreCounted) {
  const auto tokenizer = LoadChanged("gpt2_1000", [](json& file) {
    file["model"]["merges"] = json::array();
    file["model"]["vocab"].erase("z");
  });
  for (int times = 1; times <= 3; ++times) {
    EXPECT_EQ(tokenizer->Decode(tokenizer->Encode("fizz buzz", false)), "fi bu");
    EXPECT_EQ(tokenizer->dropped_bytes(), 4 * times);
  }
}

TEST_F(TokenizerTest, KnowsItsTokensAndItsFile) {
  const auto tokenizer = Tokenizer::Load(Golden("bert_uncased_2000"));
  EXPECT_EQ(tokenizer->TokenId("[SEP]"), 3);
  EXPECT_EQ(tokenizer->TokenId("no such token"), -1);
  EXPECT_EQ(tokenizer->num_special(), std::make_pair(1, 1));
  EXPECT_EQ(tokenizer->digest(), HashHex(ReadFile(Golden("bert_uncased_2000"))));
  EXPECT_EQ(tokenizer->Encode("", true), (std::vector<int32_t>{2, 3}));
}

TEST_F(TokenizerTest, AddedTokensStripAndWantWholeWords) {  // expected: the reference, tokenizers 0.23.3
  const auto token = [](int id, const char* content, const char* flag) {
    json added = {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
                  {"rstrip", false}, {"normalized", false}, {"special", false}};
    added[flag] = true;
    return added;
  };
  const auto tokenizer = LoadChanged("gpt2_1000", [&](json& file) {
    file["added_tokens"].push_back(token(1000, "world", "single_word"));
    file["added_tokens"].push_back(token(1001, "<r>", "rstrip"));
    file["added_tokens"].push_back(token(1002, "<l>", "lstrip"));
  });
  const auto count = [&](const std::string& text, int32_t id) {
    const auto ids = tokenizer->Encode(text, false);
    return std::count(ids.begin(), ids.end(), id);
  };
  EXPECT_EQ(count("world, world! worlds underworld world_", 1000), 2);
  EXPECT_EQ(tokenizer->Encode("<r> \n <l>", false), (std::vector<int32_t>{1001, 1002}));
  EXPECT_EQ(tokenizer->Encode("  <l>", false), (std::vector<int32_t>{1002}));
  EXPECT_EQ(tokenizer->Encode("<l> <r>", false).size(), 3u);
}

// Bug: what a Precompiled left of a text did not begin it, so that "prepend_scheme": "first" prepended nothing.
TEST_F(TokenizerTest, WhatIsLeftOfATextBeginsItAsInTheReference) {  // expected: tokenizers 0.23.3
  const auto tokenizer = LoadChanged("xlmr_2000", [](json& file) {
    file["normalizer"]["normalizers"][1] = {{"type", "Strip"}, {"strip_left", true}, {"strip_right", false}};
    file["pre_tokenizer"]["prepend_scheme"] = "first";
  });
  const int32_t leading = tokenizer->TokenId("\u2581a"), bare = tokenizer->TokenId("a");
  for (const char* text : {"a", "\x01\x61"}) EXPECT_EQ(tokenizer->Encode(text, false), std::vector{leading}) << text;
  for (const char* text : {" a", "\x01 a", "\u3000a"})
    EXPECT_EQ(tokenizer->Encode(text, false), std::vector{bare}) << text;
  EXPECT_EQ(tokenizer->Encode("\x01", false), std::vector<int32_t>());
}

TEST_F(TokenizerTest, UnknownComponentsAndFieldsAreNamed) {
  const auto unknown = [](const char* part) { return [part](json& file) { file[part] = {{"type", "Frobnicate"}}; }; };
  EXPECT_THAT(Refusal("gpt2_1000", unknown("normalizer")), HasSubstr("normalizer names the normalizer 'Frobnicate'"));
  EXPECT_THAT(Refusal("gpt2_1000", unknown("pre_tokenizer")), HasSubstr("pre_tokenizer names"));
  EXPECT_THAT(Refusal("gpt2_1000", unknown("post_processor")), HasSubstr("post_processor names"));
  EXPECT_THAT(Refusal("gpt2_1000", unknown("decoder")), HasSubstr("decoder names"));
  EXPECT_THAT(Refusal("gpt2_1000", [](json& file) { file["model"]["type"] = "WordLevel"; }), HasSubstr("'WordLevel'"));
  EXPECT_THAT(Refusal("gpt2_1000", [](json& file) { file["model"]["dropout"] = 0.1; }), HasSubstr("model.dropout"));
  EXPECT_THAT(Refusal("gpt2_1000", [](json& file) { file["model"]["novel"] = 1; }), HasSubstr("model.novel"));
  EXPECT_THAT(Refusal("gpt2_1000", [](json& file) { file["novel"] = 1; }), HasSubstr("novel is a field"));
  EXPECT_THAT(Refusal("llama3_3000", [](json& file) { file["pre_tokenizer"]["pretokenizers"][0]["behavior"] = "Odd"; }),
              HasSubstr("pre_tokenizer.pretokenizers[0].behavior"));
  EXPECT_THAT(
      Refusal("llama3_3000", [](json& file) { file["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "("; }),
      HasSubstr("pre_tokenizer.pretokenizers[0].pattern.Regex"));
}

TEST_F(TokenizerTest, BadUnigramFilesAreNamed) {
  const auto model = [this](const char* field, const json& value) {
    return Refusal("unigram_bytes_1500", [&](json& file) { file["model"][field] = value; });
  };
  const json a = {"a", -1.0};
  EXPECT_THAT(model("unk_id", 100000), HasSubstr("model.unk_id is not the id of a token"));
  EXPECT_THAT(model("unk_id", -2), HasSubstr("model.unk_id"));
  EXPECT_THAT(model("vocab", json::array()), HasSubstr("model.vocab is empty"));
  EXPECT_THAT(model("vocab", json::array({a, a})), HasSubstr("'a' twice"));
  EXPECT_THAT(model("vocab", json::array({a, json::array({"b"})})), HasSubstr("model.vocab[1] must be"));
  EXPECT_THAT(model("vocab", json::parse(R"([["a", "-1"]])")), HasSubstr("model.vocab[0] must be"));
  EXPECT_THAT(model("byte_fallback", 1), HasSubstr("model.byte_fallback"));
  const auto metaspace = [this](const char* field, const json& value) {
    return Refusal("unigram_bytes_1500", [&](json& file) { file["pre_tokenizer"][field] = value; });
  };
  EXPECT_THAT(metaspace("replacement", "ab"), HasSubstr("pre_tokenizer.replacement must be one character"));
  EXPECT_THAT(metaspace("prepend_scheme", "last"), HasSubstr("pre_tokenizer.prepend_scheme is 'last'"));
  EXPECT_THAT(metaspace("add_prefix_space", false), HasSubstr("pre_tokenizer.add_prefix_space"));
}

TEST_F(TokenizerTest, ACharacterWithoutTokenNeedsAnUnknownOne) {
  const auto tokenizer = LoadChanged("unigram_bytes_1500", [](json& file) {
    file["model"] = {
        {"type", "Unigram"}, {"unk_id", nullptr}, {"vocab", json::parse(R"([["a", -1], ["\u2581", -1]])")}};
    file["added_tokens"] = json::array();
  });
  EXPECT_EQ(tokenizer->Encode("a a", false), (std::vector<int32_t>{1, 0, 1, 0}));
  ExpectFault(Code::kData, "no token for 'b'", [&] { tokenizer->Encode("ab", false); });
}

TEST_F(TokenizerTest, DamagedCharsmapsAreNamed) {
  const auto charsmap = [this](const std::string& base64) {
    return Refusal("xlmr_2000",
                   [&](json& file) { file["normalizer"]["normalizers"][0]["precompiled_charsmap"] = base64; });
  };
  EXPECT_THAT(charsmap("abc"), HasSubstr("precompiled_charsmap is not base64"));
  EXPECT_THAT(charsmap("a=bc"), HasSubstr("is not base64"));
  EXPECT_THAT(charsmap(""), HasSubstr("is too short"));
  EXPECT_THAT(charsmap("BAAAAA=="), HasSubstr("length of its trie"));  // says 4 bytes, has none
  EXPECT_THAT(charsmap("BAAAAAAAAAD/"), HasSubstr("not UTF-8"));
  EXPECT_THAT(charsmap("BAAAAAAEAIA="), HasSubstr("leads out of itself"));
}

// The largest sum of scores over all ways to write a word, each tried.
double BestScore(std::string_view word, const std::map<std::string, double, std::less<>>& scores) {
  if (word.empty()) return 0;
  double best = -std::numeric_limits<double>::infinity();
  for (size_t length = 1; length <= word.size(); ++length) {
    if (const auto token = scores.find(word.substr(0, length)); token != scores.end())
      best = std::max(best, token->second + BestScore(word.substr(length), scores));
  }
  return best;
}

TEST_F(TokenizerTest, UnigramFindsTheBestOfAllWays) {
  std::mt19937 random(7);
  std::uniform_real_distribution<double> score(-9, -1);
  std::map<std::string, double, std::less<>> scores;
  for (const char* token : {"a", "b", "c", "ab", "bc", "abc", "ca", "cab", "bb", "abcab"})
    scores[token] = score(random);
  json vocab = json::array();
  for (const auto& [token, value] : scores) vocab.push_back({token, value});
  const auto tokenizer = LoadChanged("unigram_bytes_1500", [&](json& file) {
    file["model"] = {{"type", "Unigram"}, {"unk_id", nullptr}, {"vocab", vocab}};
    file["added_tokens"] = json::array();
    file["pre_tokenizer"] = file["normalizer"] = file["decoder"] = nullptr;
  });
  for (int round = 0; round < 300; ++round) {
    std::string word;
    for (int i = std::uniform_int_distribution<int>(1, 14)(random); i > 0; --i)
      word.push_back(static_cast<char>('a' + std::uniform_int_distribution<int>(0, 2)(random)));
    double sum = 0;
    std::string joined;
    for (const int32_t id : tokenizer->Encode(word, false)) {
      sum += vocab[static_cast<size_t>(id)][1].get<double>();
      joined += vocab[static_cast<size_t>(id)][0].get<std::string>();
    }
    EXPECT_EQ(joined, word);
    EXPECT_NEAR(sum, BestScore(word, scores), 1e-12) << word;
  }
}

TEST_F(TokenizerTest, ContradictionsAreNamed) {
  EXPECT_THAT(Refusal("gpt2_1000", [](json& file) { file["added_tokens"][0]["id"] = 5; }),
              HasSubstr("added_tokens[0]"));
  EXPECT_THAT(Refusal("gpt2_1000", [](json& file) { file["added_tokens"][0]["id"] = -1; }),
              HasSubstr("added_tokens[0].id"));
  EXPECT_THAT(Refusal("gpt2_1000", [](json& file) { file["model"]["merges"][3] = "one"; }),
              HasSubstr("model.merges[3]"));
  EXPECT_THAT(Refusal("gpt2_1000",
                      [](json& file) {
                        file["model"]["merges"][3] = {"a", "no such token"};
                      }),
              HasSubstr("no such token"));
  EXPECT_THAT(Refusal("gpt2_1000", [](json& file) { file["model"]["vocab"]["a"] = "1"; }), HasSubstr("'a'"));
  EXPECT_THAT(Refusal("gpt2_1000", [](json& file) { file["model"]["vocab"]["a"] = 7; }), HasSubstr("the id 7 to both"));
  EXPECT_THAT(Refusal("gpt2_1000", [](json& file) { file.erase("model"); }), HasSubstr("model is missing"));
  EXPECT_THAT(Refusal("bert_uncased_2000", [](json& file) { file["post_processor"]["special_tokens"].erase("[SEP]"); }),
              HasSubstr("post_processor.special_tokens"));
}

TEST_F(TokenizerTest, ARunawayPatternEndsInAnError) {
  const auto tokenizer = LoadChanged("gpt2_1000", [](json& file) {
    file["pre_tokenizer"] = {
        {"type", "Sequence"},
        {"pretokenizers",
         {{{"type", "Split"}, {"pattern", {{"Regex", "(a|aa)+$"}}}, {"behavior", "Isolated"}, {"invert", false}},
          file["pre_tokenizer"]}}};
  });
  ExpectFault(Code::kData, "match limit", [&] { tokenizer->Encode(std::string(60, 'a') + "b", false); });
  const std::string spaces(10 << 20, ' ');  // a tame one has the steps it needs
  EXPECT_EQ(Tokenizer::Load(Golden("gpt2_1000"))->Decode(Tokenizer::Load(Golden("gpt2_1000"))->Encode(spaces, false)),
            spaces);
}

TEST_F(TokenizerTest, NestingWithoutEndIsRefused) {
  WriteFileAtomic(folder_ / "tokenizer.json", "{\"normalizer\": " + std::string(1 << 20, '['));
  ExpectFault(Code::kData, "nested", [&] { Tokenizer::Load(folder_); });
}

TEST_F(TokenizerTest, BrokenJsonNamesFileAndPosition) {
  WriteFileAtomic(folder_ / "tokenizer.json", "{\"version\": \"1.0\",\n \"model\": {");
  const Error error = Caught([&] { Tokenizer::Load(folder_); });
  EXPECT_EQ(error.code(), Code::kData);
  EXPECT_THAT(error.message(), HasSubstr("tokenizer.json is not JSON"));
  EXPECT_THAT(error.message(), HasSubstr("line 2"));
  fs::remove(folder_ / "tokenizer.json");
  ExpectFault(Code::kIo, "tokenizer.json", [&] { Tokenizer::Load(folder_); });
}

TEST_F(TokenizerTest, InvalidTextsAndIdsAreErrors) {
  const auto tokenizer = Tokenizer::Load(Golden("gpt2_1000"));
  for (const char* text : {"ab\xFF", "\xED\xA0\x80", "cut \xE4\xB8"}) {
    SCOPED_TRACE(text);
    ExpectFault(Code::kData, "UTF-8", [&] { tokenizer->Encode(text, false); });
  }
  EXPECT_THROW(tokenizer->Decode(std::vector<int32_t>{1000}), Error);
  EXPECT_THROW(tokenizer->Decode(std::vector<int32_t>{-1}), Error);
  EXPECT_TRUE(IsValidUtf8("caf\u00E9"));
  EXPECT_FALSE(IsValidUtf8("caf\xE9"));
}

}  // namespace
}  // namespace hullft
