// The leakage guard: its definition against sets of 13-grams, and whole runs against brute force over the corpus, on
// any number of ranks.
#include <gtest/gtest.h>

#include <numeric>
#include <set>

#include "coordinator/leakage.h"
#include "coordinator/queries.h"
#include "tests/coordinator/run_fixture.h"

namespace hullft::coordinator {
namespace {
using ::testing::HasSubstr;
using Tokens = std::vector<int32_t>;

std::set<Tokens> GramSet(const Tokens& tokens) {
  std::set<Tokens> grams;
  for (size_t i = 0; i + 13 <= tokens.size(); ++i)
    grams.insert(Tokens(tokens.begin() + static_cast<int64_t>(i), tokens.begin() + static_cast<int64_t>(i) + 13));
  return grams;
}

double DirectShare(const Tokens& a, const Tokens& b) {
  const std::set<Tokens> x = GramSet(a), y = GramSet(b);
  if (x.empty() || y.empty()) return 0;
  const auto shared = std::count_if(x.begin(), x.end(), [&](const Tokens& gram) { return y.contains(gram); });
  return static_cast<double>(shared) / static_cast<double>(std::min(x.size(), y.size()));
}

TEST(Leakage, ShareIsThatOfTheOneWithFewerGrams) {
  std::mt19937 random(5);
  int partly = 0;
  for (int i = 0; i < 300; ++i) {
    // Runs of a common text between private tokens, with repeats.
    Tokens common(60), a, b;
    for (int32_t& token : common) token = static_cast<int32_t>(random() % 50);
    for (Tokens* own : {&a, &b}) {
      for (int part = 0; part < 3; ++part) {
        for (uint32_t n = random() % 20; n > 0; --n) own->push_back(static_cast<int32_t>(100 + random() % 3));
        const auto begin = static_cast<int64_t>(random() % 40), end = begin + static_cast<int64_t>(random() % 20);
        own->insert(own->end(), common.begin() + begin, common.begin() + end);
      }
    }
    const double want = DirectShare(a, b);
    EXPECT_DOUBLE_EQ(LeakageCheck("", a, 0.5).Share(b), want);
    EXPECT_DOUBLE_EQ(LeakageCheck("", b, 0.5).Share(a), want);
    EXPECT_EQ(LeakageCheck("", a, want).Leaks("", b), false) << "above the threshold, not at it";
    if (want > 0) {
      EXPECT_EQ(LeakageCheck("", a, want * 0.999).Leaks("", b), true);
    }
    partly += want > 0 && want < 1;
  }
  EXPECT_GT(partly, 30);
}

TEST(Leakage, TwelveTokensInCommonAreNone) {
  Tokens a(12), b;
  std::iota(a.begin(), a.end(), 0);
  b = a;
  EXPECT_EQ(LeakageCheck("", a, 0).Share(b), 0);
  a.push_back(12), b.push_back(12);
  EXPECT_EQ(LeakageCheck("", a, 0).Share(b), 1);
  b.back() = 13;
  EXPECT_EQ(LeakageCheck("", a, 0).Share(b), 0);
}

TEST(Leakage, ContainmentIsOfWholeTextsEitherWay) {
  const LeakageCheck check("  a b\tc\n", {}, 0.5);
  EXPECT_TRUE(check.Contains("a b\tc"));
  EXPECT_TRUE(check.Contains("before a b\tc after"));
  EXPECT_TRUE(check.Contains("\nb\tc "));
  EXPECT_FALSE(check.Contains("a b c"));
  EXPECT_FALSE(check.Contains(" \n")) << "white space is contained in everything and says nothing";
  EXPECT_FALSE(LeakageCheck(" ", {}, 0.5).Contains("a"));
}

// The fixture's corpus, and for most queries sequences that hold a part of it.
class GuardTest : public RunTest {
 protected:
  static void SetUpTestSuite() {
    Prepare(::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    tokenizer_ = Tokenizer::Load(base_ / "model");
    queries_ = ReadQueries(base_ / "queries.jsonl", {}, 0, "", 0).queries;
    for (int i = 0; i < kSequences; ++i) texts_.push_back(SomeText(static_cast<uint64_t>(i)));
    for (const Query& query : queries_) {
      if (query.number == 7) continue;  // equal to 2: its sequences would be too
      for (int part = 0; part < 8; ++part) {
        const std::string half = query.text.substr(query.text.size() / 4 * static_cast<size_t>(part / 2 % 3));
        texts_.push_back(fmt::format("{} {} {}", half, SomeText(5000 + static_cast<uint64_t>(part)), query.number));
      }
    }
    WriteJsonl(base_ / "corpus.jsonl", texts_);
    for (const int partitions : {1, 2, 4}) Build("leaky" + std::to_string(partitions), partitions, -1);
    WriteJsonl(base_ / "corpus.jsonl", {queries_[2].text, "before " + queries_[2].text, queries_[2].text + " after"});
    Build("only", 2, -1);
  }
  static void TearDownTestSuite() {
    tokenizer_.reset();
    RunTest::TearDownTestSuite();
  }

  static bool Leaks(const std::string& query, const std::string& text, double threshold) {
    return query.find(text) != std::string::npos || text.find(query) != std::string::npos ||
           DirectShare(tokenizer_->Encode(query, false), tokenizer_->Encode(text, false)) > threshold;
  }
  // Ids by the order of the pool: score, then id. One input file: the id is the record number.
  static std::vector<uint64_t> Nearest(const std::string& query) {
    std::vector<std::pair<double, uint64_t>> order;
    const std::vector<float> target = GridVector(query);
    for (uint64_t i = 0; i < texts_.size(); ++i) {
      const std::vector<float> row = GridVector(texts_[i]);
      order.emplace_back(-std::inner_product(row.begin(), row.end(), target.begin(), 0.0), i);
    }
    std::sort(order.begin(), order.end());
    std::vector<uint64_t> ids;
    for (const auto& entry : order) ids.push_back(entry.second);
    return ids;
  }

  static inline std::vector<std::string> texts_;
  static inline std::vector<Query> queries_;
  static inline std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_F(GuardTest, DropKeepsTheKNearestThatPass) {
  RunOn({"a", "b"}, Plan("leaky4", "drop", {"--guard", "drop", "--method", "knn", "--n", "12", "--margin", "0"}));
  const std::vector<Row> rows = LatestRows(Rows("drop"));
  ASSERT_EQ(rows.size(), static_cast<size_t>(kQueries));
  int64_t dropped_in_all = 0;
  for (const Row& row : rows) {
    ASSERT_TRUE(row.ok) << row.reason;
    const std::string& query = queries_[static_cast<size_t>(row.query)].text;
    std::vector<uint64_t> want;
    int64_t dropped = 0;
    for (const uint64_t id : Nearest(query)) {
      if (want.size() == 12) break;
      if (Leaks(query, texts_[id], 0.5))
        ++dropped;
      else
        want.push_back(id);
    }
    EXPECT_EQ(row.ids, want) << "query " << row.query;
    EXPECT_EQ(row.guard, "drop");
    EXPECT_EQ(row.leak_threshold, 0.5);
    EXPECT_EQ(row.leak_dropped, dropped);
    EXPECT_EQ(row.leak_marked, dropped);
    EXPECT_EQ(row.leak_trained, 0);
    dropped_in_all += dropped;
  }
  EXPECT_GT(dropped_in_all, 3);
}

TEST_F(GuardTest, MarkCountsAndChangesNothing) {
  const std::vector<std::string> knn = {"--method", "knn", "--n", "12"};
  RunOn({"a"}, Plan("leaky1", "off", knn));
  std::vector<std::string> marked = knn;
  marked.insert(marked.end(), {"--guard", "mark", "--leak-threshold", "0.05"});
  std::string table;
  RunOn({"a", "b"}, Plan("leaky2", "mark", marked), &table);
  const std::vector<Row> off = LatestRows(Rows("off")), mark = LatestRows(Rows("mark"));
  ASSERT_EQ(off.size(), mark.size());
  int64_t in_all = 0;
  for (size_t q = 0; q < off.size(); ++q) {
    EXPECT_EQ(off[q].guard, "off");
    EXPECT_EQ(off[q].ids, mark[q].ids);
    EXPECT_EQ(off[q].after.rolling, mark[q].after.rolling);
    const std::string& query = queries_[q].text;
    const auto want = std::count_if(mark[q].ids.begin(), mark[q].ids.end(),
                                    [&](uint64_t id) { return Leaks(query, texts_[id], 0.05); });
    EXPECT_EQ(mark[q].leak_marked, want);
    EXPECT_EQ(mark[q].leak_trained, want) << "kNN trains on the whole pool";
    EXPECT_EQ(mark[q].leak_dropped, 0);
    in_all += want;
  }
  EXPECT_THAT(table, HasSubstr(fmt::format("leakage guard: mark, threshold 0.05: {} candidates of ", in_all)));
}

TEST_F(GuardTest, AnyWorldGivesTheSameRows) {
  for (const std::string guard : {"mark", "drop"}) {
    const std::vector<std::string> more = {"--guard", guard, "--leak-threshold", "0.1"};
    RunOn({"a"}, Plan("leaky1", guard + " reference", more));
    const std::string reference = Comparable(guard + " reference");
    int number = 0;
    for (const std::vector<std::string>& hosts :
         {std::vector<std::string>{"a", "a"}, {"a", "b", "b"}, {"a", "b", "c", "d"}}) {
      const std::string output = guard + std::to_string(number++);
      RunOn(hosts, Plan(hosts.size() == 2 ? "leaky2" : "leaky4", output, more));
      EXPECT_EQ(Comparable(output), reference) << guard << ", " << hosts.size() << " ranks";
    }
  }
}

// The corpus ends before K sequences passed: the pool is what there is.
TEST_F(GuardTest, ThePoolIsSmallerWhereTheCorpusEnds) {
  RunOn({"a", "b"}, Plan("leaky2", "short", {"--guard", "drop", "--k", "170"}));
  const auto size = static_cast<int64_t>(texts_.size());
  ASSERT_LT(size, 170);
  for (const Row& row : LatestRows(Rows("short"))) {
    ASSERT_TRUE(row.ok) << row.reason;
    const std::string& query = queries_[static_cast<size_t>(row.query)].text;
    const auto leaks =
        std::count_if(texts_.begin(), texts_.end(), [&](const std::string& text) { return Leaks(query, text, 0.5); });
    EXPECT_GT(leaks, 0);
    EXPECT_EQ(row.leak_dropped, leaks);
    EXPECT_EQ(row.pool, size - leaks);
  }
}

TEST_F(GuardTest, AQueryOfWhichNothingIsLeftFailsAndSaysWhy) {
  RunOn({"a"}, Plan("only", "nothing", {"--guard", "drop"}));
  for (const Row& row : LatestRows(Rows("nothing"))) {
    EXPECT_EQ(row.ok, row.query != 2 && row.query != 7) << row.query;
    if (!row.ok) {
      EXPECT_THAT(row.reason, HasSubstr("the guard left nothing of the corpus: all 3 sequences leak"));
    }
  }
}

TEST_F(GuardTest, TheWholeCorpusHasNoGuard) {
  for (const char* pool : {"global", "both"}) {
    const Error error = Caught([&] { Plan("leaky1", "none", {"--pool", pool, "--guard", "mark"}); });
    EXPECT_EQ(error.code(), Code::kUsage);
    EXPECT_THAT(error.message(), HasSubstr("--guard mark: it looks at the K nearest"));
  }
}

}  // namespace
}  // namespace hullft::coordinator
