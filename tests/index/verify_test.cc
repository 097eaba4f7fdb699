#include "index/verify.h"

#include <gmock/gmock.h>

#include "index/corpus.h"
#include "index/partition_files.h"
#include "tests/index/test_corpus.h"

namespace hullft::index {
namespace {
namespace fs = std::filesystem;
using ::testing::HasSubstr;

class VerifyTest : public ::testing::Test {
 protected:
  VerifyTest() {
    WriteFileAtomic(folder_ / "in.jsonl", ToJsonl(RandomTexts(30, 7)));
    BuildCorpus(Settings(folder_ / "in.jsonl", corpus_, 2), FakeEmbed(), FakeTokenize());
  }
  std::vector<fs::path> Files() const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::recursive_directory_iterator(corpus_)) {
      if (entry.is_regular_file()) files.push_back(entry.path());
    }
    return files;
  }
  std::string Fault() const {
    const Error error = Caught([&] { VerifyCorpus(corpus_, 2, true); });
    EXPECT_EQ(error.code(), Code::kData);
    return error.message();
  }
  TemporaryFolder folder_;
  const fs::path corpus_ = folder_ / "corpus";
};

void Overwrite(const fs::path& path, const std::string& content) {
  WriteFileAtomic(path, content);
}

TEST_F(VerifyTest, OneFlippedBitAnywhereFailsAndNamesTheFile) {
  VerifyCorpus(corpus_, 2, true);
  const auto files = Files();
  EXPECT_GT(files.size(), 15u);  // two partitions of ids, vectors, manifest and a store; the corpus manifest
  std::mt19937_64 random(1);
  for (const fs::path& file : files) {
    const std::string good = ReadFile(file);
    for (int trial = 0; trial < 6 && !good.empty(); ++trial) {
      std::string bad = good;
      const size_t at = trial == 0 ? 0 : trial == 1 ? good.size() - 1 : random() % good.size();
      bad[at] = static_cast<char>(bad[at] ^ (1 << random() % 8));
      Overwrite(file, bad);
      EXPECT_THAT(Fault(), HasSubstr(file.string())) << "byte " << at;
    }
    Overwrite(file, good + "x");
    EXPECT_THAT(Fault(), HasSubstr(file.string()));
    fs::remove(file);
    EXPECT_THAT(Fault(), HasSubstr(file.filename() == "corpus.json" ? "corpus.json is missing" : file.string()));
    Overwrite(file, good);
  }
  VerifyCorpus(corpus_, 2, true);
}

// A flipped bit of these would otherwise only change results.
TEST_F(VerifyTest, OpeningAPartitionChecksVectorsAndIds) {
  std::mt19937_64 random(2);
  for (const char* name : {"vectors.f32", kIdsFile}) {
    const fs::path file = corpus_ / "part-00001" / name;
    const std::string good = ReadFile(file);
    for (int trial = 0; trial < 12; ++trial) {
      std::string bad = good;
      const size_t at = trial == 0 ? good.size() - 1 : random() % good.size();
      bad[at] = static_cast<char>(bad[at] ^ (1 << random() % 8));
      Overwrite(file, bad);
      const Error error = Caught([&] { Partition::Open(corpus_, 1); });
      EXPECT_EQ(error.code(), Code::kData) << error.message();
      EXPECT_THAT(error.message(), HasSubstr(file.string()));
    }
    Overwrite(file, good);
    Partition::Open(corpus_, 1);
  }
}

TEST_F(VerifyTest, EveryByteOfTheManifestsIsCovered) {
  for (const fs::path& file : {corpus_ / "corpus.json", corpus_ / "part-00001" / "manifest.json"}) {
    const std::string good = ReadFile(file);
    for (size_t at = 0; at < good.size(); ++at) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ (1 << at % 8));
      Overwrite(file, bad);
      const auto read = [&] {
        if (file.filename() == "corpus.json") {
          ReadCorpusInfo(corpus_);
        } else {
          Partition::Open(corpus_, 1);
        }
      };
      EXPECT_EQ(Caught(read).code(), Code::kData) << at;
    }
    Overwrite(file, good);
  }
}

TEST_F(VerifyTest, UnlistedFilesAndMissingPartitionsAreFaults) {
  Overwrite(corpus_ / "part-00000/store/LOG", "");
  EXPECT_THAT(Fault(), HasSubstr("LOG does not belong"));
  fs::remove(corpus_ / "part-00000/store/LOG");
  fs::remove_all(corpus_ / "part-00001");
  EXPECT_THAT(Fault(), HasSubstr("part-00001"));
  EXPECT_THAT(Caught([&] { Partition::Open(corpus_, 1); }).message(), HasSubstr("manifest.json is missing"));
  EXPECT_EQ(Caught([&] { ReadCorpusInfo(folder_.path()); }).code(), Code::kData);
}

TEST_F(VerifyTest, APartitionOfAnotherCorpusIsAFault) {
  WriteFileAtomic(folder_ / "other.jsonl", ToJsonl(RandomTexts(30, 8)));
  BuildCorpus(Settings(folder_ / "other.jsonl", folder_ / "other", 2), FakeEmbed(), FakeTokenize());
  fs::remove_all(corpus_ / "part-00001");
  fs::rename(folder_ / "other/part-00001", corpus_ / "part-00001");
  EXPECT_THAT(Fault(), HasSubstr("part-00001"));
}

TEST_F(VerifyTest, ReadingLeavesNoFileBehind) {
  const auto before = Files();
  {
    const auto part = Partition::Open(corpus_, 0);
    part->ReadText(part->ids()[0]);
  }
  VerifyCorpus(corpus_, 1, true);
  EXPECT_EQ(Files(), before);
}

}  // namespace
}  // namespace hullft::index
