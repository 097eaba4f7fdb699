// The log of a build's embeddings: what was appended is there after it is opened again; an end that is torn, damaged or
// lies about its length is cut off.
#include "index/embedding_log.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <random>

#include "common/files.h"
#include "common/hash.h"

namespace hullft::index {
namespace {

constexpr int kDim = 3;
using Row = std::pair<std::vector<int32_t>, std::vector<float>>;

class EmbeddingLogTest : public ::testing::Test {
 protected:
  EmbeddingLogTest() : path_(std::filesystem::path(::testing::TempDir()) / "embedding_log_test.log") {
    std::filesystem::remove(path_);
  }
  ~EmbeddingLogTest() override { std::filesystem::remove(path_); }

  // Batches of 1 to 4 rows of 0 to 5 tokens; returns the length of the file after each.
  std::vector<size_t> Fill(int batches) {
    std::mt19937 random(5);
    EmbeddingLog log(path_, kDim);
    std::vector<size_t> ends;
    for (int b = 0; b < batches; ++b) {
      std::vector<std::vector<int32_t>> tokens(1 + random() % 4);
      std::vector<float> embeddings;
      for (std::vector<int32_t>& row : tokens) {
        for (unsigned t = random() % 6; t > 0; --t) row.push_back(static_cast<int32_t>(random() % 1000));
        for (int d = 0; d < kDim; ++d) embeddings.push_back(static_cast<float>(random() % 97));
        rows_.emplace_back(row, std::vector<float>(embeddings.end() - kDim, embeddings.end()));
      }
      log.Append(tokens, embeddings);
      ends.push_back(std::filesystem::file_size(path_));
      rows_after_.push_back(rows_.size());
    }
    return ends;
  }
  void ExpectRows(size_t count) const {
    const EmbeddingLog log(path_, kDim);
    ASSERT_EQ(log.rows(), static_cast<int64_t>(count));
    size_t seen = 0;
    log.ForEach([&](int64_t row, std::span<const int32_t> tokens, std::span<const float> embedding) {
      ASSERT_EQ(row, static_cast<int64_t>(seen++));
      EXPECT_EQ(std::vector<int32_t>(tokens.begin(), tokens.end()), rows_[static_cast<size_t>(row)].first);
      EXPECT_EQ(std::vector<float>(embedding.begin(), embedding.end()), rows_[static_cast<size_t>(row)].second);
    });
    EXPECT_EQ(seen, count);
  }

  const std::filesystem::path path_;
  std::vector<Row> rows_;
  std::vector<size_t> rows_after_;  // each batch
};

TEST_F(EmbeddingLogTest, KeepsWholeBatchesWhereverTheFileEnds) {
  const std::vector<size_t> ends = Fill(6);
  ExpectRows(rows_.size());
  const std::string whole = ReadFile(path_);
  for (size_t length = 0; length <= whole.size(); length += 3) {
    WriteFileAtomic(path_, whole.substr(0, length));
    const auto batches = std::upper_bound(ends.begin(), ends.end(), length) - ends.begin();
    ExpectRows(batches == 0 ? 0 : rows_after_[static_cast<size_t>(batches) - 1]);
  }
}

TEST_F(EmbeddingLogTest, AFlippedByteEndsItBeforeItsBatch) {
  const std::vector<size_t> ends = Fill(4);
  std::string content = ReadFile(path_);
  content[ends[2] - 1] ^= 1;
  WriteFileAtomic(path_, content);
  ExpectRows(rows_after_[1]);
}

// Whoever writes a count can write the hash to it.
TEST_F(EmbeddingLogTest, CountsBeyondTheBatchEndItThere) {
  const std::vector<size_t> ends = Fill(3);
  const std::string whole = ReadFile(path_);
  for (const uint32_t count : {6U, 1U << 20, ~0U}) {
    std::string content = whole;
    uint64_t header[5];  // magic, first row, rows, bytes and hash of the payload
    std::memcpy(header, content.data() + ends[1], sizeof header);
    std::memcpy(content.data() + ends[1] + sizeof header, &count, sizeof count);
    header[4] = Hash64(std::string_view(content).substr(ends[1] + sizeof header));
    std::memcpy(content.data() + ends[1], header, sizeof header);
    WriteFileAtomic(path_, content);
    ExpectRows(rows_after_[1]);
  }
}

}  // namespace
}  // namespace hullft::index
