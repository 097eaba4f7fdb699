// `hullft embed` as a user calls it: the vectors of the encoder, row by row, and nothing written when a record is bad.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "common/error.h"
#include "common/files.h"
#include "common/npy.h"
#include "coordinator/commands/commands.h"
#include "tests/caught.h"
#include "worker/encoder.h"

namespace hullft::coordinator {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class EmbedCommandTest : public ::testing::Test {
 protected:
  EmbedCommandTest() {
    std::string name = (fs::temp_directory_path() / "hullft_embed_XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    const fs::path goldens = HULLFT_GOLDENS;
    for (const char* file : {"config.json", "model.safetensors"})
      fs::copy_file(goldens / "encoders/bert_tiny" / file, folder_ / file);
    fs::copy_file(goldens / "tokenizers/bert_uncased_2000.tokenizer.json", folder_ / "tokenizer.json");
  }
  ~EmbedCommandTest() override { fs::remove_all(folder_); }

  Arguments Call(const std::string& jsonl) const {
    WriteFileAtomic(folder_ / "texts.jsonl", jsonl);
    return {"--encoder", folder_, "--input", folder_ / "texts.jsonl", "--output", folder_ / "out.npy", "--quiet"};
  }

  fs::path folder_;
};

TEST_F(EmbedCommandTest, WritesTheEncodersVectorsInOrder) {
  Arguments args = Call("{\"text\": \"one\"}\n{\"text\": \"two words\"}\n{\"text\": \"one\"}\n");
  args.emplace_back("--json");
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(EmbedCommand(args), 0);
  const auto summary = nlohmann::json::parse(::testing::internal::GetCapturedStdout());
  const NpyFile file(folder_ / "out.npy");
  const auto encoder = worker::Encoder::Load({.model_dir = folder_});
  const int64_t dim = encoder->dim();
  EXPECT_EQ(file.shape(), (std::vector<int64_t>{3, dim}));
  EXPECT_EQ(summary.at("rows"), 3);
  EXPECT_EQ(summary.at("dim"), dim);
  EXPECT_EQ(summary.at("encoder_digest"), encoder->digest());
  const std::string_view texts[] = {"one", "two words", "one"};
  std::vector<float> expected(static_cast<size_t>(3 * dim));
  encoder->Embed(texts, expected);
  EXPECT_TRUE(std::equal(expected.begin(), expected.end(), file.values().begin(), file.values().end()));
}

TEST_F(EmbedCommandTest, ABadRecordEndsItWithNothingWritten) {
  const Error error = Caught([&] { EmbedCommand(Call("{\"text\": \"one\"}\n{\"txt\": \"two\"}\n")); });
  EXPECT_EQ(error.code(), Code::kData);
  EXPECT_THAT(error.message(), HasSubstr("texts.jsonl:2"));
  EXPECT_THAT(error.hint(), HasSubstr("mend or remove the line"));
  EXPECT_THAT(error.hint(), ::testing::Not(HasSubstr("--max-rejects")));  // embed has no such option
  EXPECT_FALSE(fs::exists(folder_ / "out.npy"));
}

}  // namespace
}  // namespace hullft::coordinator
