// Damaged files that can be made from others are made again, the same to the byte.
#include "index/repair.h"

#include <gmock/gmock.h>

#include "index/block_checks.h"
#include "index/manifest.h"
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
    const bool mended = name == "ids.u64" || name == "vectors.sums" || name == "sequences.sums" ||
                        name == "index.faiss" || (flat && name == "vectors.f32");
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

// What the checksums are made of has changed, and somebody has made the manifests fit: nothing is sealed anew.
TEST_P(RepairTest, ChecksumsOfSequencesAreNotMadeOfOtherContent) {
  const fs::path part = corpus_ / "part-00001", vectors = part / "vectors.f32";
  if (std::string(GetParam()) == "Flat") GTEST_SKIP() << "its vectors are compared with the store's";
  std::string bytes = ReadFile(vectors);
  bytes[0] = static_cast<char>(bytes[0] ^ 1);
  WriteFileAtomic(vectors, bytes);
  BlockSums blocks;
  blocks.Add(bytes);
  WriteFileAtomic(part / "vectors.sums", blocks.Finish());
  fs::remove(part / "sequences.sums");
  PartitionManifest manifest = ReadPartitionManifest(part);
  for (FileEntry& entry : manifest.files)
    if (fs::exists(part / entry.path)) entry.hash = HashFileHex(part / entry.path);
  WriteManifest(part, manifest);
  CorpusManifest corpus = ReadCorpusManifest(corpus_);
  for (FileEntry& entry : corpus.files) entry.hash = HashFileHex(corpus_ / entry.path);
  WriteManifest(corpus_, corpus);
  const Error error = Caught([&] { RepairCorpus(corpus_, 2); });
  EXPECT_EQ(error.code(), Code::kData);
  EXPECT_THAT(error.message(), HasSubstr("sequences.sums cannot be made again"));
  EXPECT_FALSE(fs::exists(part / "sequences.sums"));
  EXPECT_FALSE(fs::exists(part / "sequences.sums.repaired")) << "nothing half-made is left";
}

INSTANTIATE_TEST_SUITE_P(Types, RepairTest, ::testing::Values("Flat", "IVF4,SQ8"));

}  // namespace
}  // namespace hullft::index
