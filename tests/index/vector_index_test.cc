// The flat index, types of stored embeddings, and corpora of format 1.
#include "index/vector_index.h"

#include <gmock/gmock.h>

#include <cstring>

#include "index/corpus.h"
#include "index/verify.h"
#include "tests/index/test_corpus.h"

namespace hullft::index {
namespace {
namespace fs = std::filesystem;
using ::testing::HasSubstr;

std::vector<float> RandomRows(size_t rows, size_t dim, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(rows * dim);
  for (float& x : values) x = normal(random);
  return values;
}

TEST(BestRows, KeepsTheBestOfAnyScoresFedInAnyPieces) {
  std::mt19937_64 random(4);
  for (int trial = 0; trial < 300; ++trial) {
    const size_t n = 1 + random() % 3000, k = random() % 40;
    std::vector<RowHit> all;
    std::vector<float> scores;
    for (size_t i = 0; i < n; ++i) {
      scores.push_back(static_cast<float>(random() % (trial % 2 == 0 ? 5 : 100'000)));  // also many that are equal
      all.push_back({static_cast<int64_t>(i), scores.back()});
    }
    std::string ids(1 + n * sizeof(int64_t), '\0');  // from an odd address on, as in a mapped file of FAISS
    for (const RowHit& hit : all)
      std::memcpy(ids.data() + 1 + static_cast<size_t>(hit.row) * sizeof hit.row, &hit.row, sizeof hit.row);
    BestRows one(k), other(k);
    for (size_t begin = 0; begin < n;) {
      const size_t size = std::min<size_t>(1 + random() % 700, n - begin);
      BestRows& best = random() % 2 == 0 ? one : other;
      const auto named = std::as_bytes(std::span(ids)).subspan(1 + begin * sizeof(int64_t));
      if (random() % 2 == 0)
        best.Offer(scores.data() + begin, size, named);
      else
        best.Offer(scores.data() + begin, size, static_cast<int64_t>(begin));
      begin += size;
    }
    one.Merge(other);
    std::sort(all.begin(), all.end(), Better);
    all.resize(std::min(k, n));
    const auto found = one.Take();
    ASSERT_EQ(found.size(), all.size());
    for (size_t i = 0; i < all.size(); ++i) ASSERT_EQ(found[i].row, all[i].row) << trial;
  }
}

TEST(FlatIndex, FindsWhatBruteForceFindsForAnyTypeBatchAndThreads) {
  constexpr size_t kRows = 3000, kWidth = 19;
  const auto exact = RandomRows(kRows, kWidth, 1), queries = RandomRows(9, kWidth, 2);
  for (const auto type : {EmbeddingType::kF32, EmbeddingType::kF16, EmbeddingType::kBf16}) {
    std::string bytes;
    Narrow(exact, type, &bytes);
    std::vector<float> rows(exact.size());
    Widen(bytes, type, rows);
    const EmbeddingRows stored{std::as_bytes(std::span(bytes)), type, kWidth};
    for (const int threads : {1, 3}) {
      for (const int nq : {1, 9}) {
        const auto hits =
            SearchRows(stored, std::span(queries).first(static_cast<size_t>(nq) * kWidth), nq, 25, threads);
        for (size_t q = 0; q < hits.size(); ++q) {
          std::vector<double> scores;
          for (size_t r = 0; r < kRows; ++r) {
            double dot = 0;
            for (size_t j = 0; j < kWidth; ++j)
              dot += static_cast<double>(rows[r * kWidth + j]) * queries[q * kWidth + j];
            scores.push_back(dot);
          }
          auto order = scores;
          std::sort(order.rbegin(), order.rend());
          ASSERT_EQ(hits[q].size(), 25u);
          for (size_t i = 0; i < 25; ++i) {
            EXPECT_NEAR(scores[static_cast<size_t>(hits[q][i].row)], order[i], 1e-5);
            EXPECT_NEAR(hits[q][i].score, order[i], 1e-5);
          }
        }
      }
    }
  }
}

TEST(BlockChecks, FindAWrongByteInTheBlocksThatAreReadAndInNoOther) {
  const auto values = RandomRows(50'000, 1, 3);  // three blocks and a part
  const std::string good(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
  BlockSums sums;
  std::mt19937_64 random(5);
  for (size_t at = 0; at < good.size();) {
    const size_t size = std::min<size_t>(1 + random() % 100'000, good.size() - at);
    sums.Add(std::string_view(good).substr(at, size));
    at += size;
  }
  const std::string wanted = sums.Finish();
  ASSERT_EQ(wanted.size(), 4 * sizeof(uint64_t));
  std::string bad = good;
  bad[2 * kCheckedBlock + 77] ^= 1;
  const BlockChecks checks("name", std::as_bytes(std::span(bad)), std::as_bytes(std::span(wanted)));
  checks.Check(0, 2 * kCheckedBlock);
  checks.Check(3 * kCheckedBlock, bad.size());
  EXPECT_THAT(Caught([&] { checks.Check(2 * kCheckedBlock - 1, 2 * kCheckedBlock + 1); }).message(),
              HasSubstr("name has another checksum"));
  EXPECT_EQ(Caught([&] { BlockChecks("name", std::as_bytes(std::span(bad)), {}); }).code(), Code::kData);
}

// Every 16-bit pattern of a finite number is its own image; what lies between two of them goes to the nearer one.
TEST(EmbeddingTypes, RoundToTheNearestAndKeepWhatTheyHold) {
  for (const auto type : {EmbeddingType::kF16, EmbeddingType::kBf16}) {
    float before = 0;
    for (uint32_t bits = 0; bits < 0x7c00; ++bits) {  // positive, finite in both
      const auto pattern = static_cast<uint16_t>(bits);
      const std::string stored(reinterpret_cast<const char*>(&pattern), 2);
      float value = 0;
      Widen(stored, type, {&value, 1});
      std::string again;
      Narrow({&value, 1}, type, &again);
      ASSERT_EQ(again, stored);
      const float nearer = before + (value - before) * 0.75F;
      again.clear();
      Narrow({&nearer, 1}, type, &again);
      const bool between = nearer > before && nearer < value;
      ASSERT_TRUE(!between || again == stored) << bits;
      before = value;
    }
  }
  std::string out;
  const float large = 70'000;
  EXPECT_EQ(Caught([&] { Narrow({&large, 1}, EmbeddingType::kF16, &out); }).code(), Code::kData);
  EXPECT_EQ(Caught([] { EmbeddingTypeFromName("f8"); }).code(), Code::kUsage);
}

class StoredCorpus : public ::testing::Test {
 protected:
  TemporaryFolder folder_;
};

TEST_F(StoredCorpus, EmbeddingsAreRoundedOnceAndAreTheSameEverywhere) {
  WriteFileAtomic(folder_ / "in.jsonl", ToJsonl(RandomTexts(60, 2)));
  std::vector<std::string> digests;
  for (const auto type : {EmbeddingType::kF32, EmbeddingType::kF16, EmbeddingType::kBf16}) {
    const fs::path corpus = folder_ / std::string(EmbeddingTypeName(type));
    auto settings = Settings(folder_ / "in.jsonl", corpus, 2);
    settings.embedding_type = type;
    digests.push_back(BuildCorpus(settings, FakeEmbed(), FakeTokenize()).digest);
    EXPECT_EQ(VerifyCorpus(corpus, 2, true).embedding_type, type);
    const auto part = Partition::Open(corpus, 1);
    std::vector<float> wanted(kDim), found(kDim), scratch;
    std::string bytes;
    for (size_t row = 0; row < part->ids().size(); ++row) {
      bytes.clear();
      Narrow(FakeVector(part->ReadText(part->ids()[row])), type, &bytes);
      Widen(bytes, type, wanted);
      part->ReadEmbedding(part->ids()[row], found);
      EXPECT_EQ(found, wanted);
      EXPECT_TRUE(std::ranges::equal(part->rows().Get(row, 1, &scratch), wanted));
    }
  }
  EXPECT_NE(digests[0], digests[1]);
  EXPECT_NE(digests[1], digests[2]);
}

// Made by hullft 0.1.0 before format 2, from "text number <i> of the old format".
TEST_F(StoredCorpus, ACorpusOfFormat1IsReadAndChecked) {
  const fs::path corpus = fs::path(HULLFT_GOLDENS) / "corpus_format1";
  const CorpusInfo info = VerifyCorpus(corpus, 1, true);
  EXPECT_EQ(info.digest, "be5ec54862bd276f1428b7ab262f7880");
  EXPECT_EQ(info.sequences, 12);
  int64_t seen = 0;
  for (int p = 0; p < info.partitions; ++p) {
    const auto part = Partition::Open(corpus, p);
    std::vector<float> row(8);
    for (const SequenceId id : part->ids()) {
      EXPECT_EQ(part->ReadText(id), fmt::format("text number {} of the old format", id.value));
      part->ReadEmbedding(id, row);
      EXPECT_EQ(part->Search(row, 1, 1)[0].at(0).id, id);
      ++seen;
    }
  }
  EXPECT_EQ(seen, info.sequences);
}

TEST_F(StoredCorpus, APartitionOfAnotherCorpusIsNotOpened) {
  for (const auto* name : {"a", "b"}) {
    WriteFileAtomic(folder_ / (std::string(name) + ".jsonl"), ToJsonl(RandomTexts(30, static_cast<uint64_t>(*name))));
    BuildCorpus(Settings(folder_ / (std::string(name) + ".jsonl"), folder_ / name, 2), FakeEmbed(), FakeTokenize());
  }
  fs::remove_all(folder_ / "a/part-00001");
  fs::copy(folder_ / "b/part-00001", folder_ / "a/part-00001", fs::copy_options::recursive);
  const Error error = Caught([&] { Partition::Open(folder_ / "a", 1); });
  EXPECT_EQ(error.code(), Code::kData);
  EXPECT_THAT(error.message(), HasSubstr("a/part-00001 is not the partition that this corpus was built with"));
}

}  // namespace
}  // namespace hullft::index
