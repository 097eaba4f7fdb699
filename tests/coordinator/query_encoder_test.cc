// An index and its queries use one encoder in one way: long texts and prompt of the build are recorded, followed by
// whatever embeds queries, kept when the index grows, and what cannot be compared is refused.
#include "coordinator/query_encoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "common/error.h"
#include "common/files.h"
#include "coordinator/commands/commands.h"
#include "index/corpus.h"
#include "tests/caught.h"
#include "tests/coordinator/run_fixture.h"

namespace hullft::coordinator {
namespace {
using ::testing::HasSubstr;

// The corpora here are embedded by a tiny BERT with two prompts and texts beyond its limit of 48 tokens.
class QueryEncoderTest : public RunTest {
 protected:
  static void SetUpTestSuite() {
    std::string name = (fs::temp_directory_path() / "hullft_encoder_use_XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    base_ = name;
    const fs::path goldens = HULLFT_GOLDENS;
    for (const char* file : {"config.json", "model.safetensors"}) {
      fs::create_directories(base_ / "model");
      fs::create_directories(Encoder());
      fs::copy(goldens / "finetune/gpt2" / file, base_ / "model" / file);
      fs::copy(goldens / "encoders/bert_tiny" / file, Encoder() / file);
    }
    fs::copy(goldens / "tokenizers/gpt2_1000.tokenizer.json", base_ / "model/tokenizer.json");
    fs::copy(goldens / "tokenizers/bert_uncased_2000.tokenizer.json", Encoder() / "tokenizer.json");
    WritePrompts("passage: ");
    std::vector<std::string> texts, queries;
    for (uint64_t i = 0; i < 12; ++i) texts.push_back(SomeText(i));
    for (int i = 0; i < 30; ++i) texts[3] += " and further words beyond the limit";
    for (uint64_t i = 0; i < 3; ++i) queries.push_back(SomeText(100 + i));
    WriteJsonl(base_ / "corpus.jsonl", texts);
    WriteJsonl(base_ / "more.jsonl", {SomeText(50), SomeText(51)});
    WriteJsonl(base_ / "queries.jsonl", queries);
  }
  static fs::path Encoder() { return base_ / "encoder"; }
  static void WritePrompts(const std::string& passage) {
    const nlohmann::json prompts = {{"prompts", {{"query", "ask: "}, {"passage", passage}}}};
    WriteFileAtomic(Encoder() / "config_sentence_transformers.json", prompts.dump());
  }
  static index::CorpusInfo BuildIndex(const std::string& name, const std::vector<std::string>& more) {
    hullft::coordinator::Arguments args = {"build",   "--input",  base_ / "corpus.jsonl", "--model", base_ / "model", "--encoder",
                      Encoder(), "--output", base_ / name,           "--quiet", "--threads",     "1"};
    args.insert(args.end(), more.begin(), more.end());
    IndexQuietly(args);
    return index::ReadCorpusInfo(base_ / name);
  }
  static void IndexQuietly(const hullft::coordinator::Arguments& args) {
    ::testing::internal::CaptureStdout();
    EXPECT_EQ(IndexCommand(args), 0);
    printed_ = ::testing::internal::GetCapturedStdout();
  }
  static std::string Refusal(const index::CorpusInfo& corpus, const std::string& prompt) {
    return Caught([&] { LoadQueryEncoder(Encoder(), prompt, corpus, 1); }).what();
  }
  // The identity under which the rows of a run are known, by its journal's keys.
  static std::vector<Row> RunWith(const std::string& corpus, const std::string& output,
                                  const std::vector<std::string>& more) {
    hullft::coordinator::Arguments args = {"--corpus",  base_ / corpus, "--queries", base_ / "queries.jsonl", "--model", base_ / "model",
                      "--encoder", Encoder(),      "--output",  base_ / output,          "--quiet", "--n",
                      "2",         "--k",          "4",         "--max-length",          "48",      "--threads",
                      "1"};
    args.insert(args.end(), more.begin(), more.end());
    RunPlan plan;
    OptionTable table("hullft run", "");
    plan.settings.Bind(&table);
    table.Parse(args);
    plan.settings.Finish();
    plan.options = IdentityOfOptions(table);
    plan.config = table.ConfigText();
    plan.version = "test";
    RunOn({"a"}, plan);
    return LatestRows(Rows(output));
  }

  static inline std::string printed_;
};

TEST_F(QueryEncoderTest, AnIndexSaysHowItsEncoderWasUsed) {
  const index::CorpusInfo plain = BuildIndex("plain", {}),
                          used = BuildIndex("used", {"--prompt", "passage", "--long-texts", "average"});
  EXPECT_EQ(plain.encoder_use.prompt, "");
  EXPECT_EQ(plain.encoder_use.long_texts, "cut");
  EXPECT_EQ(plain.encoder_use.space, plain.encoder_digest) << "without a prompt";
  EXPECT_EQ(used.encoder_use.prompt, "passage");
  EXPECT_EQ(used.encoder_use.long_texts, "average");
  EXPECT_NE(used.encoder_use.space, plain.encoder_use.space) << "long texts are part of the space";
  EXPECT_NE(used.encoder_digest, used.encoder_use.space) << "the prompt is not";
  EXPECT_THAT(printed_, HasSubstr("prompt 'passage', long texts averaged"));

  const auto vector = [](const index::CorpusInfo& corpus, uint64_t id) {
    std::vector<float> row(static_cast<size_t>(corpus.dim));
    index::Partition::Open(corpus.folder, 0)->ReadEmbedding({id}, row);
    return row;
  };
  const std::string text = index::Partition::Open(used.folder, 0)->ReadText({3});
  for (const auto& [corpus, long_texts, prompt] :
       {std::tuple(plain, worker::LongTexts::kCut, ""), {used, worker::LongTexts::kAverage, "passage"}}) {
    const auto encoder =
        worker::Encoder::Load({.model_dir = Encoder(), .threads = 1, .long_texts = long_texts, .prompt = prompt});
    std::vector<float> expected(static_cast<size_t>(corpus.dim));
    const std::string_view texts[] = {text};
    encoder->Embed(texts, expected);
    EXPECT_EQ(vector(corpus, 3), expected) << corpus.folder;
    EXPECT_EQ(LoadQueryEncoder(Encoder(), "", corpus, 1)->digest(), encoder->digest()) << "queries follow the index";
  }
}

TEST_F(QueryEncoderTest, QueriesMayHaveAPromptOfTheirOwnAndNothingElse) {
  const index::CorpusInfo used = BuildIndex("own", {"--prompt", "passage"});
  const auto follows = LoadQueryEncoder(Encoder(), "", used, 1), own = LoadQueryEncoder(Encoder(), "query", used, 1);
  EXPECT_EQ(follows->digest(), used.encoder_digest);
  EXPECT_NE(own->digest(), follows->digest());
  EXPECT_EQ(own->space(), follows->space());
  EXPECT_THAT(Refusal(used, "unknown"), HasSubstr("'unknown'"));

  index::CorpusInfo silent = used;  // made of given embeddings: nobody knows which prompt is in its digest
  silent.encoder_use = {"passage", "cut", ""};
  EXPECT_EQ(LoadQueryEncoder(Encoder(), "", silent, 1)->digest(), used.encoder_digest);
  EXPECT_THAT(Refusal(silent, "query"), HasSubstr("does not say how its encoder was used"));
  index::CorpusInfo averaged = used;
  averaged.encoder_use.long_texts = "average";
  EXPECT_THAT(Refusal(averaged, ""), HasSubstr("was built with another encoder"));
  EXPECT_THAT(Refusal(averaged, "query"), HasSubstr("prompt 'query'"));

  WritePrompts("title: ");  // another text under the same name
  EXPECT_THAT(Refusal(used, ""), HasSubstr("was built with another encoder"));
  EXPECT_THAT(Caught([&] { RunWith("own", "other_text", {}); }).what(), HasSubstr("was built with another encoder"));
  WritePrompts("passage: ");
}

TEST_F(QueryEncoderTest, AnIndexThatGrowsKeepsItsUse) {
  const index::CorpusInfo before = BuildIndex("grows", {"--prompt", "passage", "--long-texts", "average"});
  const hullft::coordinator::Arguments add = {"add",           "--corpus",  base_ / "grows", "--input", base_ / "more.jsonl", "--model",
                         base_ / "model", "--encoder", Encoder(),       "--quiet", "--threads",          "1"};
  WritePrompts("title: ");
  EXPECT_THAT(Caught([&] { IndexCommand(add); }).what(), HasSubstr("another encoder"));
  WritePrompts("passage: ");
  IndexQuietly(add);
  const index::CorpusInfo after = index::ReadCorpusInfo(base_ / "grows");
  EXPECT_EQ(after.sequences, before.sequences + 2);
  EXPECT_EQ(after.encoder_use.prompt, "passage");
  EXPECT_EQ(after.encoder_use.long_texts, "average");
  IndexQuietly({"merge", base_ / "grows", "--output", base_ / "merged", "--quiet", "--threads", "1"});
  EXPECT_EQ(index::ReadCorpusInfo(base_ / "merged").encoder_use.space, before.encoder_use.space);
  IndexQuietly({"export", base_ / "merged", "--jsonl", base_ / "e.jsonl", "--npy", base_ / "e.npy", "--quiet"});
  EXPECT_THAT(printed_, HasSubstr("--prompt 'passage' --long-texts average"));
}

TEST_F(QueryEncoderTest, RunsWithAnotherPromptAreOtherRuns) {
  BuildIndex("run_on", {"--prompt", "passage"});
  const auto follows = RunWith("run_on", "follows", {}), named = RunWith("run_on", "named", {"--prompt", "passage"}),
             own = RunWith("run_on", "own_prompt", {"--prompt", "query"});
  ASSERT_EQ(follows.size(), 3u);
  ASSERT_EQ(own.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_NE(follows[i].key, own[i].key);
    EXPECT_EQ(follows[i].after.rolling, named[i].after.rolling);
  }
  EXPECT_THAT(Caught([&] { RunWith("run_on", "wrong", {"--prompt", "no such"}); }).what(), HasSubstr("'no such'"));
}

}  // namespace
}  // namespace hullft::coordinator
