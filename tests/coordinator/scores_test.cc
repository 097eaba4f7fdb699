// Scores that are not computed twice: the file of untuned scores, and one run scored at several N instead of a run for
// each. Both must give the bits of the plain way.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <thread>

#include "common/hash.h"
#include "coordinator/score_cache.h"
#include "tests/caught.h"
#include "tests/coordinator/run_fixture.h"

namespace hullft::coordinator {
namespace {
using ::testing::HasSubstr;
using ::testing::Not;

const UntunedScore kScore{{1.0 / 3, 0.1, -123.456, -1e-9}, 77, 2};

void ExpectSame(const std::optional<UntunedScore>& found) {
  ASSERT_TRUE(found);
  EXPECT_EQ(found->bpb.rolling, kScore.bpb.rolling);
  EXPECT_EQ(found->bpb.first_window, kScore.bpb.first_window);
  EXPECT_EQ(found->bpb.log_likelihood, kScore.bpb.log_likelihood);
  EXPECT_EQ(found->bpb.log_likelihood_first_window, kScore.bpb.log_likelihood_first_window);
  EXPECT_EQ(found->tokens, kScore.tokens);
  EXPECT_EQ(found->windows, kScore.windows);
}

std::string FreshFile(const std::string& name) {
  const std::string path = ::testing::TempDir() + "hullft_scores_" + name + std::to_string(::getpid());
  std::filesystem::remove(path);
  return path;
}

TEST(ScoreCache, KeepsTheBits) {
  const std::string path = FreshFile("bits");
  {
    ScoreCache cache(path);
    EXPECT_FALSE(cache.Find("a"));
    cache.Add("a", kScore);
    cache.Add("a", kScore);
    ExpectSame(cache.Find("a"));
  }
  const ScoreCache again(path);
  EXPECT_EQ(again.size(), 1);
  EXPECT_EQ(again.damaged(), 0);
  ExpectSame(again.Find("a"));
  const std::string text = ReadFile(path);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);  // the header and one line
}

TEST(ScoreCache, TheKeyHoldsAllThatDecidesTheBits) {
  const ScoreSetting setting{"binary", "model", "tokenizer", "cpu, 2 threads", 1024, -1};
  const std::string key = ScoreCache::Key(setting, "text");
  EXPECT_EQ(ScoreCache::Key(setting, "text"), key);
  EXPECT_NE(ScoreCache::Key(setting, "texts"), key);
  ScoreSetting other = setting;
  for (std::string* field : {&other.binary, &other.model, &other.tokenizer, &other.arithmetic}) {
    *field += "x";
    EXPECT_NE(ScoreCache::Key(other, "text"), key);
    other = setting;
  }
  other.window = 512;
  EXPECT_NE(ScoreCache::Key(other, "text"), key);
  other = setting;
  other.prefix_token = 0;
  EXPECT_NE(ScoreCache::Key(other, "text"), key);
}

TEST(ScoreCache, DamagedLinesAreLeftOutAndTheRestStays) {
  const std::string path = FreshFile("damaged");
  {
    ScoreCache cache(path);
    for (const char* key : {"a", "b", "c"}) cache.Add(key, kScore);
  }
  std::string text = ReadFile(path);
  text[text.find("\"b\"") + 1] = 'x';                                                 // a flipped byte
  std::ofstream(path, std::ios::trunc) << text << "0123456789abcdef {\"key\": \"to";  // a torn line
  {
    ScoreCache cache(path);
    EXPECT_EQ(cache.damaged(), 2);
    EXPECT_TRUE(cache.Find("a"));
    EXPECT_FALSE(cache.Find("b"));
    EXPECT_FALSE(cache.Find("x"));
    cache.Add("d", kScore);  // not onto the torn line
  }
  ScoreCache again(path);
  EXPECT_EQ(again.damaged(), 2);
  ExpectSame(again.Find("d"));
}

TEST(ScoreCache, AnotherFileIsRefusedAndNotWrittenTo) {
  const std::string path = FreshFile("foreign");
  std::ofstream(path) << "{\"text\": \"a query\"}\n";
  ExpectFault(Code::kData, path, [&] { const ScoreCache cache(path); });
  EXPECT_EQ(ReadFile(path), "{\"text\": \"a query\"}\n");
  EXPECT_THROW(ScoreCache("/nonexistent/folder/scores"), Error);
}

TEST(ScoreCache, SeveralRunsMayAddAtOnce) {
  const std::string path = FreshFile("several");
  constexpr int kRuns = 4, kScores = 100;
  std::vector<std::thread> threads;
  for (int run = 0; run < kRuns; ++run) {
    threads.emplace_back([&, run] {
      ScoreCache cache(path);
      for (int i = 0; i < kScores; ++i) cache.Add(std::to_string(run * kScores + i), kScore);
    });
  }
  for (std::thread& thread : threads) thread.join();
  const ScoreCache cache(path);
  EXPECT_EQ(cache.size(), kRuns * kScores);
  EXPECT_EQ(cache.damaged(), 0);
}

TEST_F(RunTest, KnownUntunedScoresGiveTheSameRows) {
  const std::string file = base_ / "scores";
  std::string table;
  RunOn({"a"}, Plan("corpus2", "plain"), &table);
  EXPECT_THAT(table, Not(HasSubstr("from the cache")));
  const std::string plain = Comparable("plain");
  RunOn({"a"}, Plan("corpus2", "fills", {"--score-cache", file}), &table);
  EXPECT_EQ(Comparable("fills"), plain);
  RunOn({"a", "a"}, Plan("corpus2", "takes", {"--score-cache", file}), &table);
  EXPECT_EQ(Comparable("takes"), plain);
  EXPECT_THAT(table, HasSubstr("untuned scores from the cache: 10 of 10"));
  for (const Row& row : Rows("takes")) {
    EXPECT_TRUE(row.ms.score_before_cached);
    EXPECT_EQ(row.ms.score_before, 0);
  }
  // Another method and r take them too; another window does not.
  RunOn({"a"}, Plan("corpus2", "knn", {"--score-cache", file, "--method", "knn", "--refresh", "1"}), &table);
  EXPECT_THAT(table, HasSubstr("untuned scores from the cache: 10 of 10"));
  RunOn({"a"}, Plan("corpus2", "window", {"--score-cache", file, "--max-length", "40"}), &table);
  EXPECT_THAT(table, Not(HasSubstr("from the cache: 10")));  // two queries are equal: the second may take the first's
}

// Each N of --score-at against a run to that N alone.
TEST_F(RunTest, ScoresOnTheWayAreThoseOfSeparateRuns) {
  for (const std::string method : {"knn", "random", "mmr", "sift"}) {
    for (const std::string refresh : {"1", "inf"}) {
      SCOPED_TRACE(method + " " + refresh);
      const std::string name = method + refresh + "_";
      // The noise makes SIFT repeat itself, so that marks fall between steps that share a gradient.
      const std::vector<std::string> base = {"--method", method,          "--refresh", refresh, "--limit",
                                             "4",        "--sift-lambda", "30",        "--lr",  "1e-3"};
      std::vector<std::string> options = base;
      options.insert(options.end(), {"--n", "7", "--score-at", "5,1,2,7"});
      std::string table;
      RunOn({"a"}, Plan("corpus2", name + "all", options), &table);
      EXPECT_THAT(table, HasSubstr("gradients"));
      const std::vector<Row> all = LatestRows(Rows(name + "all"));
      if (method == "sift" && refresh == "inf") {
        EXPECT_TRUE(std::ranges::any_of(all, [](const Row& row) { return row.gradients < row.steps; }));
      }
      for (const int n : {1, 2, 5, 7}) {
        options = base;
        options.insert(options.end(), {"--n", std::to_string(n)});
        RunOn({"a"}, Plan("corpus2", name + std::to_string(n), options));
        const std::vector<Row> alone = LatestRows(Rows(name + std::to_string(n)));
        ASSERT_EQ(alone.size(), all.size());
        for (size_t q = 0; q < all.size(); ++q) {
          ASSERT_EQ(all[q].marks.size(), 4u);
          ASSERT_EQ(all[q].ms.tune_at.size(), 4u);
          const auto mark = std::ranges::find(all[q].marks, n, &RowMark::n);
          ASSERT_NE(mark, all[q].marks.end());
          EXPECT_EQ(mark->steps, alone[q].steps);
          EXPECT_EQ(mark->gradients, alone[q].gradients);
          EXPECT_EQ(mark->bpb.rolling, alone[q].after.rolling);
          EXPECT_EQ(mark->bpb.first_window, alone[q].after.first_window);
          EXPECT_EQ(mark->bpb.log_likelihood, alone[q].after.log_likelihood);
          EXPECT_EQ(mark->bpb.log_likelihood_first_window, alone[q].after.log_likelihood_first_window);
          EXPECT_EQ(all[q].before.rolling, alone[q].before.rolling);
        }
      }
    }
  }
}

TEST_F(RunTest, WhatIsNoPrefixIsNotScoredOnTheWay) {
  const auto fault = [](const std::vector<std::string>& options) {
    return Caught([&] { Plan("corpus2", "none", options); }).message();
  };
  EXPECT_THAT(fault({"--score-at", "2,6"}), HasSubstr("hullft's multiset for a smaller N is no prefix"));
  EXPECT_THAT(fault({"--method", "knn", "--score-at", "2,8"}), HasSubstr("--score-at 8 is more than --n 6"));
  EXPECT_THAT(fault({"--method", "knn", "--score-at", "2,x"}), HasSubstr("'x' is no number from 1"));
  EXPECT_THAT(fault({"--method", "sift", "--sift-grouping", "global", "--score-at", "2"}), HasSubstr("global moves"));
  EXPECT_THAT(fault({"--method", "knn", "--score-at", "2", "--dropout", "0.1"}), HasSubstr("dropout"));
}

// Whoever can write the file can also make its checksums.
TEST(ScoreCache, LinesOfTheRightChecksumThatAreNoScoresAreLeftOut) {
  const std::string path = FreshFile("hostile");
  { ScoreCache(path).Add("a", kScore); }
  std::ofstream file(path, std::ios::app);
  for (const std::string text : {"no JSON", "[]", "{\"key\": 1}", "{\"key\": \"b\", \"bpb\": \"x\"}"})
    file << fmt::format("{:016x} {}\n", Hash64(text), text);
  ASSERT_TRUE(file.flush());
  const ScoreCache cache(path);
  EXPECT_EQ(cache.damaged(), 4);
  EXPECT_TRUE(cache.Find("a"));
}

}  // namespace
}  // namespace hullft::coordinator
