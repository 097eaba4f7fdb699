// Damaged files that can be made from others are made again, the same to the byte.
#include "index/repair.h"

#include <gmock/gmock.h>

#include "index/verify.h"
#include "tests/index/test_corpus.h"

namespace hullft::index {
namespace {
namespace fs = std::filesystem;
using ::testing::HasSubstr;

class RepairTest : public ::testing::TestWithParam<const char*> {
 protected:
  RepairTest() {
    WriteFileAtomic(folder_ / "in.jsonl", ToJsonl(RandomTexts(300, 7)));
    auto settings = Settings(folder_ / "in.jsonl", corpus_, 2);
    settings.index = GetParam();
    settings.batch = 64;
    BuildCorpus(settings, FakeEmbed(), FakeTokenize());
  }
  TemporaryFolder folder_;
  const fs::path corpus_ = folder_ / "corpus";
};

TEST_P(RepairTest, MakesEveryFileThatOthersHoldAndNamesTheRest) {
  EXPECT_TRUE(RepairCorpus(corpus_, 2).empty()) << "nothing is damaged";
  const bool flat = std::string(GetParam()) == "Flat";
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(corpus_ / "part-00001"))
    if (entry.is_regular_file() && entry.file_size() > 0) files.push_back(entry.path());
  for (const fs::path& file : files) {
    const std::string good = ReadFile(file), name = file.filename();
    const bool mended =
        name == "ids.u64" || name == "vectors.sums" || name == "index.faiss" || (flat && name == "vectors.f32");
    for (const bool missing : {false, true}) {
      std::string bad = good;
      bad[bad.size() / 2] = static_cast<char>(bad[bad.size() / 2] ^ 8);
      WriteFileAtomic(file, bad);
      if (missing) fs::remove(file);
      if (mended) {
        EXPECT_THAT(RepairCorpus(corpus_, 2), ::testing::ElementsAre(file.string()));
        EXPECT_EQ(ReadFile(file), good) << name;
        VerifyCorpus(corpus_, 1, true);
      } else {
        const Error error = Caught([&] { RepairCorpus(corpus_, 2); });
        EXPECT_EQ(error.code(), Code::kData);
        EXPECT_THAT(error.message(), HasSubstr(file.string()));
        WriteFileAtomic(file, good);
      }
    }
  }
  VerifyCorpus(corpus_, 1, true);
}

INSTANTIATE_TEST_SUITE_P(Types, RepairTest, ::testing::Values("Flat", "IVF4,SQ8"));

}  // namespace
}  // namespace hullft::index
