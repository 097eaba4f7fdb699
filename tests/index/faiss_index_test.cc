// Indexes that search a part of the rows: which rows are found may differ, scores and order never.
#include "index/faiss_index.h"

#include <faiss/IndexHNSW.h>
#include <faiss/IndexIVF.h>
#include <faiss/index_io.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>

#include "index/corpus.h"
#include "index/verify.h"
#include "tests/index/test_corpus.h"

namespace hullft::index {
namespace {
namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr size_t kRows = 2000, kWidth = 16;

// Unit vectors in 30 clusters.
std::vector<float> Clustered(size_t rows, uint64_t seed) {
  std::mt19937_64 random(seed), centres(99);
  std::normal_distribution<float> normal;
  std::vector<float> centre(30 * kWidth), values(rows * kWidth);
  for (float& x : centre) x = normal(centres);
  for (size_t i = 0; i < rows; ++i) {
    const size_t cluster = random() % 30;
    double square = 0;
    for (size_t j = 0; j < kWidth; ++j) {
      float& x = values[i * kWidth + j] = centre[cluster * kWidth + j] + 0.4F * normal(random);
      square += static_cast<double>(x) * x;
    }
    for (size_t j = 0; j < kWidth; ++j) values[i * kWidth + j] /= static_cast<float>(std::sqrt(square));
  }
  return values;
}

class FaissIndexTest : public ::testing::TestWithParam<const char*> {
 protected:
  fs::path Build(const std::string& name, const IndexType& type, int threads) const {
    FaissIndex::Build(rows_, {.type = type, .threads = threads}, folder_ / name);
    return folder_ / name;
  }
  TemporaryFolder folder_;
  const std::vector<float> values_ = Clustered(kRows, 1), queries_ = Clustered(20, 2);
  const EmbeddingRows rows_ = EmbeddingRows::Of(values_, kWidth);
};

TEST_P(FaissIndexTest, FindsMoreWithMoreEffortAndScoresAsTheFlatSearchDoes) {
  const IndexType type = IndexType::Parse(GetParam(), kWidth);
  const auto index = FaissIndex::Open(Build("index", type, 2), type, rows_, 1);
  EXPECT_EQ(index->size(), static_cast<int64_t>(kRows));
  const auto exact = SearchRows(rows_, queries_, 20, 50, 1);
  double before = 0;
  for (const int effort : {1, 4, type.MostEffort()}) {
    const auto hits = index->Search(queries_, 20, 50, {effort, 2});
    double found = 0;
    for (size_t q = 0; q < hits.size(); ++q) {
      EXPECT_TRUE(std::ranges::is_sorted(hits[q], Better));
      for (const RowHit& hit : hits[q]) {
        double dot = 0;
        for (size_t j = 0; j < kWidth; ++j)
          dot += static_cast<double>(values_[static_cast<size_t>(hit.row) * kWidth + j]) * queries_[q * kWidth + j];
        EXPECT_NEAR(hit.score, dot, 1e-6);
        found += std::ranges::count(exact[q], hit.row, &RowHit::row);
      }
    }
    EXPECT_GE(found, before * 0.98);
    before = found;
  }
  EXPECT_GE(before, type.code.starts_with("PQ") ? 0.9 * 20 * 50 : 0.99 * 20 * 50);
  // A query's hits depend neither on the batch it comes in nor on threads.
  const auto batch = index->Search(queries_, 20, 50, {3, 2});
  for (size_t q = 0; q < 20; ++q) {
    const auto alone = index->Search(std::span(queries_).subspan(q * kWidth, kWidth), 1, 50, {3, 1})[0];
    ASSERT_EQ(alone.size(), batch[q].size());
    for (size_t i = 0; i < alone.size(); ++i) EXPECT_EQ(alone[i].row, batch[q][i].row);
  }
}

// Lists that are scanned here find what FAISS itself finds in the same file.
TEST_P(FaissIndexTest, FindsWhatFaissFinds) {
  const IndexType type = IndexType::Parse(GetParam(), kWidth);
  const fs::path file = Build("index", type, 2);
  const auto index = FaissIndex::Open(file, type, rows_, 1);
  const std::unique_ptr<faiss::Index> theirs(faiss::read_index(file.c_str()));
  constexpr int kEffort = 5, kWanted = 40;
  if (auto* ivf = dynamic_cast<faiss::IndexIVF*>(theirs.get())) ivf->nprobe = kEffort;
  if (auto* hnsw = dynamic_cast<faiss::IndexHNSW*>(theirs.get())) hnsw->hnsw.efSearch = kEffort;
  const auto wanted = static_cast<size_t>(std::ceil(kWanted * type.oversampling));
  std::vector<float> scores(wanted * 20);
  std::vector<faiss::Index::idx_t> found(wanted * 20);
  theirs->search(20, queries_.data(), static_cast<int64_t>(wanted), scores.data(), found.data());
  const auto ours = index->Search(queries_, 20, kWanted, {kEffort, 2});
  size_t same = 0;
  for (size_t q = 0; q < 20; ++q) {
    ASSERT_EQ(ours[q].size(), static_cast<size_t>(kWanted));
    for (const RowHit& hit : ours[q])
      same += std::count(found.begin() + static_cast<int64_t>(q * wanted),
                         found.begin() + static_cast<int64_t>((q + 1) * wanted), hit.row) > 0;
  }
  EXPECT_GE(same, 20U * kWanted - 2);  // rounding may choose between the last ones
}

TEST_P(FaissIndexTest, IsTheSameForAnyThreads) {
  const IndexType type = IndexType::Parse(GetParam(), kWidth);
  EXPECT_EQ(ReadFile(Build("one", type, 1)), ReadFile(Build("three", type, 3)));
}

TEST_P(FaissIndexTest, RefusesWhatDoesNotFit) {
  const IndexType type = IndexType::Parse(GetParam(), kWidth);
  const fs::path file = Build("index", type, 2);
  EXPECT_EQ(
      Caught([&] { FaissIndex::Build(rows_, {.type = type, .memory_budget = 10'000}, folder_ / "large"); }).code(),
      Code::kUsage);
  const EmbeddingRows fewer{rows_.bytes.first(100 * kWidth * 4), EmbeddingType::kF32, kWidth, nullptr};
  EXPECT_EQ(Caught([&] { FaissIndex::Open(file, type, fewer, 1); }).code(), Code::kData);
  WriteFileAtomic(folder_ / "cut", ReadFile(file).substr(0, 60));
  EXPECT_EQ(Caught([&] { FaissIndex::Open(folder_ / "cut", type, rows_, 1); }).code(), Code::kData);
  const IndexType other = IndexType::Parse(type.kind == IndexKind::kIvf ? "HNSW8" : "IVF4,Flat", kWidth);
  EXPECT_EQ(Caught([&] { FaissIndex::Open(file, other, rows_, 1); }).code(), Code::kData);
}

INSTANTIATE_TEST_SUITE_P(Types, FaissIndexTest, ::testing::Values("IVF32,Flat", "IVF32,SQ8", "IVF16,PQ8", "HNSW12"));

TEST(IndexType, NamesThatAreNotOneAreRefused) {
  for (const char* name : {"", "flat", "IVF,Flat", "IVF0,Flat", "IVF16", "IVF16,SQ4", "HNSW", "HNSW1", "IVF4,PQ3"})
    EXPECT_EQ(Caught([&] { IndexType::Parse(name, kWidth); }).code(), Code::kUsage) << name;
  EXPECT_EQ(IndexType::Parse("IVF1024,SQ8", 384).lists, 1024);
}

class IndexedCorpus : public ::testing::Test {
 protected:
  IndexedCorpus() {
    std::vector<std::string> texts;
    for (int i = 0; i < 1200; ++i) texts.push_back("text " + std::to_string(i));
    WriteFileAtomic(folder_ / "in.jsonl", ToJsonl(texts));
  }
  CorpusInfo Build(const std::string& index, int partitions) {
    auto settings = Settings(folder_ / "in.jsonl", folder_ / index, partitions);
    settings.index = index;
    settings.target_recall = 0.9;
    settings.recall_k = 20;
    settings.batch = 100;
    return BuildCorpus(settings, FakeEmbed(), FakeTokenize());
  }
  TemporaryFolder folder_;
};

TEST_F(IndexedCorpus, RecallIsMeasuredAndChoosesTheEffort) {
  const std::string digest = Build("Flat", 2).digest;
  for (const char* name : {"IVF8,Flat", "IVF8,SQ8", "HNSW8"}) {
    Build(name, 2);
    const CorpusInfo info = VerifyCorpus(folder_ / name, 2, true);
    EXPECT_EQ(info.digest, digest) << "the content does not depend on the index";
    EXPECT_EQ(info.index, name);
    EXPECT_EQ(info.recall.queries, 200);
    ASSERT_FALSE(info.recall.curve.empty());
    EXPECT_TRUE(std::ranges::is_sorted(info.recall.curve, {}, &RecallPoint::effort));
    EXPECT_GE(info.recall.Of(info.recall.effort), 0.9);
    EXPECT_GE(info.recall.curve.back().recall, 0.97);
    for (const RecallPoint& point : info.recall.curve)
      EXPECT_TRUE(point.effort >= info.recall.effort || point.recall < 0.9);
  }
}

TEST_F(IndexedCorpus, WithAllListsEveryPoolIsTheFlatOne) {
  Build("Flat", 3);
  Build("IVF8,SQ8", 3);
  for (int p = 0; p < 3; ++p) {
    const auto flat = Partition::Open(folder_ / "Flat", p), other = Partition::Open(folder_ / "IVF8,SQ8", p);
    for (int q = 0; q < 10; ++q) {
      const auto query = FakeVector("query" + std::to_string(q));
      const auto a = flat->Search(query, 1, 30)[0], b = other->Search(query, 1, 30, {.effort = 8})[0];
      ASSERT_EQ(a.size(), b.size());
      for (size_t i = 0; i < a.size(); ++i) EXPECT_EQ(a[i].id, b[i].id);
    }
  }
}

TEST_F(IndexedCorpus, TooFewSequencesForTheCodeIsAClearError) {
  auto settings = Settings(folder_ / "in.jsonl", folder_ / "pq", 8);
  settings.index = "IVF4,PQ4";
  const Error error = Caught([&] { BuildCorpus(settings, FakeEmbed(), FakeTokenize()); });
  EXPECT_EQ(error.code(), Code::kData);
  EXPECT_THAT(error.message(), HasSubstr("is too small for IVF4,PQ4"));
}

}  // namespace
}  // namespace hullft::index
