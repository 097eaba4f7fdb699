// What a build meets when files, disks and other builds misbehave: one clear error, and nothing lost.
#include <gmock/gmock.h>
#include <sys/mount.h>
#include <unistd.h>

#include "common/comm/launch.h"
#include "common/npy.h"
#include "index/manifest.h"
#include "index/verify.h"
#include "tests/index/test_corpus.h"

namespace hullft::index {
namespace {
namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;

class BadInputTest : public ::testing::Test {
 protected:
  BadInputTest() { WriteFileAtomic(input_, ToJsonl(RandomTexts(600, 3))); }
  CorpusInfo Build(const BuildSettings& settings) { return BuildCorpus(settings, FakeEmbed(), FakeTokenize()); }
  TemporaryFolder folder_;
  const fs::path input_ = folder_ / "in.jsonl", corpus_ = folder_ / "c";
};

TEST_F(BadInputTest, AFileThatChangesWhileItIsReadIsNamed) {
  auto settings = Settings(input_, corpus_, 2);
  bool grown = false;
  settings.stop = [&] {  // asked while the file is read, too
    const bool reads = fs::exists(folder_ / "c.building/settings.json");
    if (reads && !std::exchange(grown, true)) AppendFile(input_).Append("{\"text\": \"one more\"}\n");
    return false;
  };
  const Error error = Caught([&] { Build(settings); });
  EXPECT_EQ(error.code(), Code::kData);
  EXPECT_EQ(error.message(), input_.string() + " has changed while it was read");
  EXPECT_FALSE(fs::exists(corpus_));
  EXPECT_FALSE(fs::exists(folder_ / "c.building"));
  EXPECT_EQ(Build(settings).digest, Build(Settings(input_, folder_ / "d", 1)).digest);
}

TEST_F(BadInputTest, EmbeddingsThatChangeWhileTheyAreReadAreNamed) {
  auto settings = Settings(input_, corpus_, 2);
  settings.embeddings = (folder_ / "x.npy").string();
  std::vector<float> values;
  for (const std::string& text : RandomTexts(600, 3)) std::ranges::copy(FakeVector(text), std::back_inserter(values));
  const int64_t shape[] = {600, kDim};
  WriteNpy(settings.embeddings, shape, values);
  auto tokenize = FakeTokenize();
  std::once_flag changed;
  tokenize.tokenize = [&](std::string_view text) {
    std::call_once(changed, [&] { WriteNpy(settings.embeddings, shape, values); });
    return FakeTokenize().tokenize(text);
  };
  const Error error = Caught([&] { BuildCorpus(settings, {}, tokenize); });
  EXPECT_EQ(error.message(), settings.embeddings + " has changed while it was read");
  EXPECT_FALSE(fs::exists(corpus_));
  settings.force = true;
  BuildCorpus(settings, {}, tokenize);
  VerifyCorpus(corpus_, 1, true);
}

TEST_F(BadInputTest, TheSecondOfTwoBuildsSaysWhoHoldsTheFolder) {
  const std::string holder = fmt::format("process {} on {}", ::getpid(), comm::HostName());
  for (const bool grow : {false, true}) {
    auto embed = FakeEmbed();
    std::optional<Error> second;
    auto settings = Settings(input_, corpus_, 2);
    if (grow) {
      WriteFileAtomic(folder_ / "more.jsonl", ToJsonl(RandomTexts(50, 4)));
      settings.inputs = {(folder_ / "more.jsonl").string()};
    }
    settings.grow = grow;
    embed.embed = [&](auto texts, auto out) {
      if (!second) second = Caught([&] { Build(settings); });
      FakeEmbed().embed(texts, out);
    };
    BuildCorpus(settings, embed, FakeTokenize());
    ASSERT_TRUE(second);
    EXPECT_EQ(second->code(), Code::kUsage);
    EXPECT_EQ(second->message(), fmt::format("{} is in use by {}", corpus_.string(), holder));
    VerifyCorpus(corpus_, 1, true);
  }
}

TEST_F(BadInputTest, AFullDiskStopsTheBuildWholeAndItGoesOnWhenThereIsSpace) {
  const std::string digest = Build(Settings(input_, corpus_, 2)).digest;
  const fs::path disk = folder_ / "disk";
  fs::create_directories(disk);
  if (::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=3m") != 0) GTEST_SKIP() << "needs the right to mount";
  int failures = 0, kept = 0;
  for (int kilobytes = 60; kilobytes <= 1200;
       kilobytes += 60) {  // of 3072: what is full first moves through the stages
    WriteFileAtomic(disk / "ballast", std::string(static_cast<size_t>(3072 - kilobytes) << 10, 'b'));
    try {
      Build(Settings(input_, disk / "c", 2));
    } catch (const Error& error) {
      ++failures;
      EXPECT_EQ(error.code(), Code::kIo) << error.what();
      EXPECT_THAT(error.hint(), HasSubstr("free some space")) << error.what();
      EXPECT_FALSE(fs::exists(disk / "c"));
      if (fs::exists(disk / "c.building")) {
        ++kept;
        EXPECT_THAT(error.hint(), HasSubstr("the same command goes on there"));
      }
      fs::remove(disk / "ballast");
      Build(Settings(input_, disk / "c", 2));
    }
    EXPECT_EQ(VerifyCorpus(disk / "c", 1, true).digest, digest);
    for (const char* name : {"c", "c.building", "ballast"}) fs::remove_all(disk / name);
  }
  EXPECT_GT(failures, 3);
  EXPECT_GT(kept, 0) << "none got as far as embedding";
  ::umount(disk.c_str());
}

// With the checksum that fits, as another version or machine would have written it.
void Change(const fs::path& manifest, const char* field, const json& value) {
  json changed = json::parse(ReadFile(manifest));
  changed.erase("checksum");
  changed[field] = value;
  changed["checksum"] = HashHex(changed.dump(1) + "\n");
  WriteFileAtomic(manifest, changed.dump(1) + "\n");
}

TEST_F(BadInputTest, AnotherVersionOrByteOrderIsRefusedByName) {
  for (const char* file : {"corpus.json", "part-00001/manifest.json"}) {
    const auto fault = [&](const char* field, const json& value) {
      fs::remove_all(corpus_);
      Build(Settings(input_, corpus_, 2));
      Change(corpus_ / file, field, value);
      const Error error = Caught([&] {
        ReadCorpusInfo(corpus_);
        Partition::Open(corpus_, 1);
      });
      EXPECT_EQ(error.code(), Code::kData);
      EXPECT_THAT(error.message(), HasSubstr((corpus_ / file).string()));
      return error.message();
    };
    EXPECT_THAT(fault("format", kFormatVersion + 1), HasSubstr("has format 3, this hullft reads formats 1 to 2"));
    EXPECT_THAT(fault("byte_order", "big"), HasSubstr("says byte order \"big\", this hullft reads little endian"));
  }
}

TEST_F(BadInputTest, GenerationsThatDoNotFollowOneAnotherAreRefused) {
  Build(Settings(input_, corpus_, 2));
  const json good = json::parse(ReadFile(corpus_ / "corpus.json")).at("generations");
  for (const auto& [field, value] : {std::pair<const char*, json>{"first_partition", 1},
                                     {"partitions", 3},
                                     {"partitions", 1},
                                     {"partitions", 0},
                                     {"partitions", -1},
                                     {"partitions", "2"}}) {
    json bad = good;
    bad[0][field] = value;
    Change(corpus_ / "corpus.json", "generations", bad);
    EXPECT_EQ(Caught([&] { ReadCorpusInfo(corpus_); }).code(), Code::kData) << field << value;
  }
  Change(corpus_ / "corpus.json", "generations", json::array());
  EXPECT_EQ(Caught([&] { ReadCorpusInfo(corpus_); }).code(), Code::kData);
  Change(corpus_ / "corpus.json", "generations", good);
  VerifyCorpus(corpus_, 1, true);
}

// Of a generation too: its manifest is as good as any other, but not the corpus's.
TEST_F(BadInputTest, APartitionOfAnotherGenerationIsNotOpened) {
  Build(Settings(input_, corpus_, 2));
  WriteFileAtomic(folder_ / "more.jsonl", ToJsonl(RandomTexts(50, 4)));
  for (const char* name : {"c", "d"}) {
    auto settings = Settings(folder_ / "more.jsonl", folder_ / name, 2);
    if (fs::exists(folder_ / "d")) settings.inputs = {(folder_ / "more.jsonl").string()};
    settings.grow = std::string(name) == "c";
    Build(settings);
  }
  fs::remove_all(corpus_ / "part-00003");
  EXPECT_THAT(Caught([&] { Partition::Open(corpus_, 3); }).message(), HasSubstr("part-00003/manifest.json is missing"));
  EXPECT_THAT(Caught([&] { VerifyCorpus(corpus_, 1, true); }).message(), HasSubstr("part-00003"));
  fs::copy(folder_ / "d/part-00001", corpus_ / "part-00003", fs::copy_options::recursive);
  EXPECT_THAT(Caught([&] { Partition::Open(corpus_, 3); }).message(),
              HasSubstr("part-00003 is not the partition that this corpus was built with"));
  EXPECT_EQ(Partition::Open(corpus_, 1)->info().number, 1);
}

}  // namespace
}  // namespace hullft::index
