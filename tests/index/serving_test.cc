// What serving a corpus relies on: stores that share a bounded cache, reading ahead, indexes that are not trusted.
#include <gmock/gmock.h>

#include <algorithm>

#include "index/corpus.h"
#include "index/faiss_index.h"
#include "index/read_ahead.h"
#include "index/sequence_store.h"
#include "tests/index/test_corpus.h"

namespace hullft::index {
namespace {
namespace fs = std::filesystem;
using ::testing::HasSubstr;

TEST(Serving, PartitionsShareACacheThatStaysWithinItsBudget) {
  const TemporaryFolder folder;
  std::vector<std::string> texts;
  for (int i = 0; i < 3000; ++i) {
    std::mt19937_64 random(static_cast<uint64_t>(i));
    texts.push_back(std::to_string(i));
    while (texts.back().size() < 700) texts.back() += std::to_string(random());
  }
  WriteFileAtomic(folder / "in.jsonl", ToJsonl(texts));
  BuildCorpus(Settings(folder / "in.jsonl", folder / "corpus", 3), FakeEmbed(), FakeTokenize());
  constexpr int64_t kBudget = 400'000;
  const auto cache = std::make_shared<BlockCache>(kBudget);
  std::vector<std::unique_ptr<Partition>> parts;
  for (int p = 0; p < 3; ++p) parts.push_back(Partition::Open(folder / "corpus", p, cache));
  size_t read = 0;
  for (int times = 0; times < 2; ++times) {
    for (const auto& part : parts) {
      std::vector<SequenceId> ids(part->ids().begin(), part->ids().end());
      std::ranges::reverse(ids);
      const auto found = part->ReadTexts(ids);
      const auto tokens = part->ReadTokens(ids);
      for (size_t i = 0; i < ids.size(); ++i) {
        ASSERT_EQ(found[i], texts[ids[i].value]);
        ASSERT_EQ(tokens[i].size(), found[i].size());
      }
      read += ids.size();
      EXPECT_LE(cache->used_bytes(), kBudget);
    }
  }
  EXPECT_EQ(read, 6000U);
  EXPECT_GT(cache->used_bytes(), kBudget / 2);
}

TEST(Serving, ReadingAheadTakesAnyPartOfAFile) {
  const TemporaryFolder folder;
  WriteFileAtomic(folder / "file", std::string(3'000'000, 'x'));
  const MappedFile file(folder / "file");
  for (const auto& [first, count] :
       {std::pair<size_t, size_t>{0, 0}, {0, 1}, {4095, 2}, {1, 2'999'999}, {2'999'999, 1}})
    ReadAhead(file.bytes().subspan(first, count));
  EXPECT_EQ(file.bytes()[2'999'999], std::byte{'x'});
}

class DamagedIndex : public ::testing::TestWithParam<const char*> {};

TEST_P(DamagedIndex, RowsThatThereAreNoneOfAreAnError) {
  constexpr size_t kRows = 600;
  std::vector<float> values;
  for (size_t i = 0; i < kRows; ++i) {
    const auto vector = FakeVector(std::to_string(i));
    values.insert(values.end(), vector.begin(), vector.end());
  }
  const EmbeddingRows rows = EmbeddingRows::Of(values, kDim);
  const TemporaryFolder folder;
  const IndexType type = IndexType::Parse(GetParam(), kDim);
  FaissIndex::Build(rows, {.type = type}, folder / "index");
  std::string bytes = ReadFile(folder / "index");
  const int64_t good = 417, bad = 1 << 30;
  const size_t at = bytes.find(std::string(reinterpret_cast<const char*>(&good), sizeof good));
  ASSERT_NE(at, std::string::npos);
  bytes.replace(at, sizeof bad, reinterpret_cast<const char*>(&bad), sizeof bad);
  WriteFileAtomic(folder / "index", bytes);
  const auto index = FaissIndex::Open(folder / "index", type, rows, 4);
  const Error error = Caught([&] { index->Search(std::span(values).subspan(good * kDim, kDim), 1, 5, {}); });
  EXPECT_EQ(error.code(), Code::kData);
  EXPECT_THAT(error.message(), HasSubstr("names row 1073741824 of 600"));
}

INSTANTIATE_TEST_SUITE_P(Types, DamagedIndex, ::testing::Values("IVF4,Flat", "IVF4,SQ8"));

}  // namespace
}  // namespace hullft::index
