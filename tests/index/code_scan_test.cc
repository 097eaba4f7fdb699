// Scores by codes against FAISS's own decoding, in float64.
#include "index/code_scan.h"

#include <faiss/impl/ScalarQuantizer.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace hullft::index {
namespace {

struct Coded {
  std::vector<float> trained, decoded;  // FAISS's
  std::vector<uint8_t> codes;
};

Coded Encode(const std::vector<float>& rows, size_t d) {
  faiss::ScalarQuantizer quantizer(d, faiss::ScalarQuantizer::QT_8bit);
  const size_t n = rows.size() / d;
  quantizer.train(n, rows.data());
  Coded coded{quantizer.trained, std::vector<float>(rows.size()), std::vector<uint8_t>(n * quantizer.code_size)};
  quantizer.compute_codes(rows.data(), coded.codes.data(), n);
  quantizer.decode(coded.codes.data(), coded.decoded.data(), n);
  return coded;
}

TEST(CodeScan, ScoresAreThoseOfTheDecodedRows) {
  std::mt19937_64 random(1);
  std::normal_distribution<float> normal;
  for (const size_t d : {1, 2, 7, 16, 33, 64, 100, 384, 1024, 4097}) {
    const size_t n = 1 + random() % 40;
    std::vector<float> rows(n * d), query(d), scores(n);
    for (float& x : rows) x = normal(random);
    for (float& x : query) x = normal(random) * std::exp(normal(random));
    const Coded coded = Encode(rows, d);
    const float base = normal(random);
    const CodeQuery made = MakeCodeQuery(query, coded.trained);
    ScoreCodes(made, base, coded.codes.data(), n, scores.data());
    for (size_t i = 0; i < n; ++i) {
      double expected = base, size = std::abs(base);
      for (size_t j = 0; j < d; ++j) {
        expected += static_cast<double>(query[j]) * coded.decoded[i * d + j];
        size += std::abs(static_cast<double>(query[j]) * coded.decoded[i * d + j]);
      }
      // Half a step for each rounded weight, and float32's rounding.
      const double bound = 127.5 * static_cast<double>(d) * made.scale + 1e-6 * size;
      EXPECT_NEAR(scores[i], expected, bound) << "d = " << d;
      EXPECT_NEAR(scores[i], expected, 2e-4 * size) << "d = " << d;
    }
  }
}

TEST(CodeScan, NoSumLeaves32Bits) {
  for (const size_t d : {1, 300, 65536}) {
    for (const float sign : {1.0F, -1.0F}) {
      const std::vector<float> query(d, sign);
      std::vector<float> trained(2 * d, 0);
      std::fill(trained.begin() + static_cast<int64_t>(d), trained.end(), 1.0F);  // codes from 0 to 1
      const CodeQuery made = MakeCodeQuery(query, trained);
      const std::vector<uint8_t> codes(d, 255);
      float score = 0;
      ScoreCodes(made, 0, codes.data(), 1, &score);
      const double expected = sign * static_cast<double>(d) * 255.5 / 255;
      EXPECT_NEAR(score, expected, 2e-2 * std::abs(expected)) << "d = " << d;
    }
  }
}

TEST(CodeScan, AQueryOfZerosAndWidthsOfZero) {
  const std::vector<uint8_t> codes = {0, 255};
  float score = 7;
  ScoreCodes(MakeCodeQuery(std::vector<float>{0, 0}, std::vector<float>{1, 2, 3, 4}), 0.5F, codes.data(), 1, &score);
  EXPECT_EQ(score, 0.5F);
  ScoreCodes(MakeCodeQuery(std::vector<float>{2, 3}, std::vector<float>{1, 2, 0, 0}), 0, codes.data(), 1, &score);
  EXPECT_EQ(score, 8);
}

}  // namespace
}  // namespace hullft::index
