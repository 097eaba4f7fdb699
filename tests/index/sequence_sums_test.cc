// Checksums that go with every sequence from its build to its use.
#include "index/sequence_sums.h"

#include <gmock/gmock.h>

#include "index/corpus.h"
#include "index/partition_files.h"
#include "index/verify.h"
#include "tests/index/test_corpus.h"

namespace hullft::index {
namespace {
namespace fs = std::filesystem;
using ::testing::HasSubstr;

class SequenceSumsTest : public ::testing::Test {
 protected:
  SequenceSumsTest() {
    WriteFileAtomic(folder_ / "in.jsonl", ToJsonl(RandomTexts(40, 3)));
    BuildCorpus(Settings(folder_ / "in.jsonl", corpus_, 2), FakeEmbed(), FakeTokenize());
  }
  // As an older hullft would have built it; corpus.json, which knows the manifests' hashes, goes.
  void Forget(int number) {
    const fs::path part = PartitionFolder(corpus_, number);
    PartitionManifest manifest = ReadPartitionManifest(part);
    std::erase_if(manifest.files, [](const FileEntry& file) { return file.path == kSequenceSumsFile; });
    WriteManifest(part, manifest);
    fs::remove(part / kSequenceSumsFile);
    fs::remove(corpus_ / "corpus.json");
  }
  TemporaryFolder folder_;
  const fs::path corpus_ = folder_ / "corpus";
};

TEST_F(SequenceSumsTest, AreThoseOfWhatWasBuiltInOldAndNewPartitions) {
  for (const bool old : {false, true}) {
    if (old) Forget(1);
    const auto part = Partition::Open(corpus_, 1);
    ASSERT_FALSE(part->ids().empty());
    std::vector<float> embedding(kDim);
    for (const SequenceId id : part->ids()) {
      const std::vector<int32_t> tokens = part->ReadTokens(id);
      part->ReadEmbedding(id, embedding);
      EXPECT_EQ(part->TokensSum(id, tokens), SumOf(std::span<const int32_t>(tokens)));
      EXPECT_EQ(part->EmbeddingSum(id, embedding), SumOf(std::span<const float>(embedding)));
    }
  }
}

// The sums say what the build saw: other tokens in the store are noticed, though its own checksums are right.
TEST_F(SequenceSumsTest, OtherContentThanWasBuiltIsNoticedWhenItIsRead) {
  const fs::path part = PartitionFolder(corpus_, 1), file = part / kSequenceSumsFile;
  std::string sums = ReadFile(file);
  const auto flip = [&](size_t at) { sums[at] = static_cast<char>(sums[at] ^ 1); };
  flip(0);                     // the text of row 0
  flip(sizeof(uint64_t));      // its tokens
  flip(2 * sizeof(uint64_t));  // its embedding
  WriteFileAtomic(file, sums);
  const Error hash = Caught([&] { Partition::Open(corpus_, 1); });
  EXPECT_THAT(hash.message(), HasSubstr("sequences.sums has another checksum"));

  PartitionManifest manifest = ReadPartitionManifest(part);
  for (FileEntry& entry : manifest.files) {
    if (entry.path == kSequenceSumsFile) entry.hash = HashHex(sums);
  }
  WriteManifest(part, manifest);
  fs::rename(corpus_ / "corpus.json", folder_ / "corpus.json");
  const auto open = Partition::Open(corpus_, 1);
  const SequenceId first = open->ids()[0], second = open->ids()[1];
  std::vector<float> embedding(kDim);
  const std::string wanted = "what is read of sequence " + std::to_string(first.value) + " is not what was built";
  EXPECT_THAT(Caught([&] { open->ReadText(first); }).message(), HasSubstr(wanted));
  EXPECT_THAT(Caught([&] { open->ReadTokens(first); }).message(), HasSubstr(wanted));
  EXPECT_THAT(Caught([&] { open->ReadEmbedding(first, embedding); }).message(), HasSubstr(wanted));
  open->ReadText(second);
  open->ReadTokens(second);
  open->ReadEmbedding(second, embedding);
}

}  // namespace
}  // namespace hullft::index
