// Runs over corpora whose index finds a part of the nearest: what is chosen depends on the index only through what it
// finds, and every run says how much that is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/queries.h"
#include "coordinator/select/pool.h"
#include "coordinator/select/select.h"
#include "coordinator/study/run_data.h"
#include "index/corpus.h"
#include "tests/coordinator/run_fixture.h"

namespace hullft::coordinator {
namespace {
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr int kMany = 600, kPool = 12, kMargin = 2;

// Without ties, and not on a grid: codes round it.
std::vector<float> UnitVector(const std::string& text) {
  std::mt19937_64 random(Hash64(text));
  std::normal_distribution<float> normal;
  std::vector<float> vector(kDim);
  double square = 0;
  for (float& x : vector) square += std::pow(x = normal(random), 2);
  for (float& x : vector) x /= static_cast<float>(std::sqrt(square));
  return vector;
}

class RunIndexTest : public RunTest {
 protected:
  static void SetUpTestSuite() {
    RunTest::SetUpTestSuite();
    std::vector<std::string> texts;
    for (int i = 0; i < kMany; ++i) texts.push_back(SomeText(static_cast<uint64_t>(5000 + i)));
    WriteJsonl(base_ / "many.jsonl", texts);
    std::vector<float> vectors;
    for (const Query& query : ReadQueries(base_ / "queries.jsonl", {}, 0, "", 0).queries) {
      const std::vector<float> vector = UnitVector(query.text);
      vectors.insert(vectors.end(), vector.begin(), vector.end());
    }
    WriteNpy(base_ / "unit.npy", std::vector<int64_t>{kQueries, kDim}, vectors);
    for (const char* index : {"Flat", "IVF6,Flat", "IVF6,SQ8", "IVF2,PQ2", "HNSW8"})
      Build(index, 2, -1, index, "many.jsonl", UnitVector);
  }
  static RunPlan PlanOf(const std::string& index, const std::string& output, int effort) {
    return Plan(index, output,
                {"--query-embeddings", base_ / "unit.npy", "--search-effort", std::to_string(effort), "--k",
                 std::to_string(kPool), "--margin", std::to_string(kMargin)});
  }

  // The multiset for a target from what the partitions' indexes find, scored and chosen from here.
  static select::Selection Expected(const std::string& index, int effort, const std::vector<float>& target,
                                    std::vector<uint64_t>* pool_ids) {
    std::vector<uint64_t> ids;
    std::vector<float> rows;
    for (int p = 0; p < 2; ++p) {
      const auto part = index::Partition::Open(base_ / index, p);
      const auto hits = part->Search(target, 1, kPool + kMargin, {effort, 1});
      for (const index::Hit& hit : hits[0]) {
        ids.push_back(hit.id.value);
        rows.resize(rows.size() + kDim);
        part->ReadEmbedding(hit.id, std::span(rows).last(kDim));
      }
    }
    const select::PoolOrder order = select::RescorePool(ids, rows, target, kPool);
    std::vector<float> ordered;
    for (const int row : order.rows)
      ordered.insert(ordered.end(), &rows[static_cast<size_t>(row) * kDim],
                     &rows[static_cast<size_t>(row) * kDim] + kDim);
    *pool_ids = order.ids;
    select::SelectOptions options;
    options.n = 6;
    return Select({ordered, target, static_cast<int>(order.ids.size()), kDim}, options, "");
  }
};

TEST_F(RunIndexTest, WhatIsFoundDecidesAndNothingElseOfTheIndex) {
  const auto queries = ReadQueries(base_ / "queries.jsonl", {}, 0, "", 0).queries;
  const std::pair<const char*, int> searches[] = {{"IVF6,Flat", 1}, {"IVF6,SQ8", 2}, {"IVF2,PQ2", 1}, {"HNSW8", 4}};
  for (const auto& [index, effort] : searches) {
    const std::string output = std::string("run ") + index;
    RunOn({"a", "b"}, PlanOf(index, output, effort));
    const std::vector<Row> rows = LatestRows(Rows(output));
    ASSERT_EQ(rows.size(), queries.size());
    for (size_t q = 0; q < rows.size(); ++q) {
      std::vector<uint64_t> pool;
      const auto chosen = Expected(index, effort, UnitVector(queries[q].text), &pool);
      ASSERT_TRUE(rows[q].ok) << rows[q].reason;
      EXPECT_EQ(rows[q].pool, static_cast<int64_t>(pool.size()));
      std::vector<uint64_t> ids;
      for (const int row : chosen.support) ids.push_back(pool[static_cast<size_t>(row)]);
      EXPECT_EQ(rows[q].ids, ids) << index;
      EXPECT_EQ(rows[q].counts, chosen.counts) << index;
      EXPECT_EQ(rows[q].weights, chosen.weights) << index;
    }
  }
}

TEST_F(RunIndexTest, WhereEverythingIsFoundTheRowsAreTheFlatOnes) {
  RunOn({"a"}, PlanOf("Flat", "flat", 0));
  const std::string flat = Comparable("flat");
  for (const auto& [index, effort] : {std::pair("IVF6,Flat", 6), {"IVF6,SQ8", 6}, {"HNSW8", 600}}) {
    const std::string output = std::string("all of ") + index;
    RunOn({"a", "b", "b"}, PlanOf(index, output, effort));
    EXPECT_EQ(Comparable(output), flat) << index;
  }
}

TEST_F(RunIndexTest, EveryRunSaysWhatItsSearchFinds) {
  RunOn({"a"}, PlanOf("Flat", "exact", 7));
  auto provenance = study::ReadProvenance(base_ / "exact");
  EXPECT_EQ(provenance.fields.at("search"), "Flat: every search is exact");
  EXPECT_FALSE(provenance.identities.at("").contains("index"));
  RunOn({"a"}, PlanOf("Flat", "exact", 0));  // the effort means nothing here: the same run

  const index::Recall recall = index::ReadCorpusInfo(base_ / "IVF6,Flat").recall;
  RunOn({"a"}, PlanOf("IVF6,Flat", "partial", 0));
  provenance = study::ReadProvenance(base_ / "partial");
  EXPECT_EQ(provenance.identities.at("").at("index"),
            fmt::format("IVF6,Flat in 2 partitions, nprobe {}", recall.effort));
  EXPECT_THAT(provenance.fields.at("search"),
              StartsWith(fmt::format("IVF6,Flat, nprobe {}: recall@200 {:.4f}, measured on 200 sequences",
                                     recall.effort, recall.Of(recall.effort))));
  // Another effort is another run, the same one said aloud is not.
  RunOn({"a"}, PlanOf("IVF6,Flat", "partial", recall.effort));
  const Error error = Caught([&] { RunOn({"a"}, PlanOf("IVF6,Flat", "partial", recall.effort + 1)); });
  EXPECT_EQ(error.code(), Code::kUsage);
  EXPECT_THAT(error.message(), HasSubstr("index = IVF6,Flat in 2 partitions"));

  RunOn({"a"}, PlanOf("HNSW8", "between", 33));
  EXPECT_THAT(study::ReadProvenance(base_ / "between").fields.at("search"), HasSubstr(" or more (efSearch 32)"));
  RunOn({"a"}, PlanOf("HNSW8", "below", 5));
  EXPECT_THAT(study::ReadProvenance(base_ / "below").fields.at("search"), HasSubstr("was not measured with so little"));
}

}  // namespace
}  // namespace hullft::coordinator
