#include "index/node_copy.h"

#include <gmock/gmock.h>
#include <sys/mount.h>

#include <thread>

#include "common/comm/launch.h"
#include "index/manifest.h"
#include "index/partition_files.h"
#include "index/verify.h"
#include "tests/index/test_corpus.h"

namespace hullft::index {
namespace {
namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class NodeCopyTest : public ::testing::Test {
 protected:
  NodeCopyTest() {
    WriteFileAtomic(folder_ / "in.jsonl", ToJsonl(RandomTexts(60, 2)));
    BuildCorpus(Settings(folder_ / "in.jsonl", corpus_, 3), FakeEmbed(), FakeTokenize());
  }
  fs::path Stage(int p, int64_t* copied = nullptr) {
    return StagePartition(corpus_, p, disk_, {[&](int64_t bytes) {
                            if (copied != nullptr) *copied += bytes;
                          }});
  }
  std::vector<std::string> Left() {
    std::vector<std::string> left;
    for (const auto& entry : fs::recursive_directory_iterator(disk_)) {
      const std::string name = entry.path().filename();
      if (name.find("copying") != std::string::npos) left.push_back(name);
    }
    return left;
  }
  TemporaryFolder folder_;
  const fs::path corpus_ = folder_ / "c", disk_ = folder_ / "disk";
};

TEST_F(NodeCopyTest, ACopyIsMadeOnceAndReadsAsThePartition) {
  EXPECT_THAT(StagedPartitions(corpus_, disk_), IsEmpty());
  for (const int p : {2, 0}) {
    int64_t copied = 0;
    const fs::path local = Stage(p, &copied);
    const auto part = Partition::Open(corpus_, p), copy = Partition::Open(local, p);
    EXPECT_EQ(copied, part->info().disk_bytes);
    EXPECT_EQ(copy->info().digest, part->info().digest);
    ASSERT_EQ(copy->info().sequences, part->info().sequences);
    for (const SequenceId id : part->ids()) EXPECT_EQ(copy->ReadText(id), part->ReadText(id));
    EXPECT_TRUE(std::ranges::equal(copy->rows().bytes, part->rows().bytes));
    copied = 0;
    EXPECT_EQ(Stage(p, &copied), local);
    EXPECT_EQ(copied, 0) << "a whole copy is not made again";
  }
  EXPECT_THAT(StagedPartitions(corpus_, disk_), ElementsAre(0, 2));
}

TEST_F(NodeCopyTest, ManyAtOnceMakeOneCopy) {
  std::atomic<int64_t> copied = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] { StagePartition(corpus_, 1, disk_, {[&](int64_t bytes) { copied += bytes; }}); });
    }
  }
  EXPECT_EQ(copied, Partition::Open(corpus_, 1)->info().disk_bytes);
}

TEST_F(NodeCopyTest, ADamagedFileNamesHostPartitionAndFileAndLeavesNothing) {
  const fs::path file = corpus_ / "part-00001" / "vectors.f32";
  std::string bytes = ReadFile(file);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  WriteFileAtomic(file, bytes);
  const Error error = Caught([&] { Stage(1); });
  EXPECT_EQ(error.code(), Code::kData);
  EXPECT_THAT(error.message(), HasSubstr("partition 1 on " + comm::HostName()));
  EXPECT_THAT(error.message(), HasSubstr(file.string()));
  EXPECT_THAT(error.message(), HasSubstr("checksum"));
  EXPECT_THAT(Left(), IsEmpty());
  EXPECT_THAT(StagedPartitions(corpus_, disk_), IsEmpty());
  WriteFileAtomic(file, bytes.substr(1));
  EXPECT_THAT(Caught([&] { Stage(1); }).message(), HasSubstr("bytes, its manifest says"));
  EXPECT_THAT(PartitionFault(corpus_, 1), HasSubstr("bytes instead of"));
  fs::remove_all(corpus_ / "part-00002");
  EXPECT_THAT(Caught([&] { Stage(2); }).message(), HasSubstr("part-00002"));
  EXPECT_THAT(PartitionFault(corpus_, 2), HasSubstr("missing"));
  EXPECT_EQ(PartitionFault(corpus_, 0), "");
}

TEST_F(NodeCopyTest, WhatAKilledRunLeftIsReplacedAndABrokenCopyMadeAgain) {
  const fs::path local = Stage(0);
  fs::remove(local / "part-00000" / kIdsFile);
  fs::create_directories(local / "part-00001.copying/store");
  WriteFileAtomic(local / "part-00001.copying/store/half", "half");
  for (const int p : {0, 1}) {
    Stage(p);
    EXPECT_EQ(PartitionFault(local, p), "");
    EXPECT_EQ(HashFolder(local / fmt::format("part-{:05}", p), false).size(),
              HashFolder(corpus_ / fmt::format("part-{:05}", p), false).size());
  }
  EXPECT_THAT(Left(), IsEmpty());
}

TEST_F(NodeCopyTest, ACorpusThatWasBuiltAgainHasCopiesOfItsOwn) {
  const fs::path first = Stage(0);
  auto settings = Settings(folder_ / "in.jsonl", corpus_, 2);
  settings.force = true;
  BuildCorpus(settings, FakeEmbed(), FakeTokenize());
  EXPECT_THAT(StagedPartitions(corpus_, disk_), IsEmpty());
  EXPECT_NE(Stage(0), first);
}

TEST_F(NodeCopyTest, AFullDiskIsAClearErrorAndLeavesNothing) {
  fs::create_directories(disk_);
  if (::mount("tmpfs", disk_.c_str(), "tmpfs", 0, "size=8k") != 0) GTEST_SKIP() << "needs the right to mount";
  const Error error = Caught([&] { Stage(0); });
  EXPECT_EQ(error.code(), Code::kIo);
  EXPECT_THAT(error.message(), HasSubstr("partition 0 on " + comm::HostName()));
  EXPECT_THAT(error.hint(), HasSubstr("free some space"));
  EXPECT_THAT(Left(), IsEmpty());
  ::umount(disk_.c_str());
}

}  // namespace
}  // namespace hullft::index
