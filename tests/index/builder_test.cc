#include "index/builder.h"

#include <gmock/gmock.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <limits>
#include <map>

#include "common/npy.h"
#include "index/corpus.h"
#include "index/verify.h"
#include "tests/index/test_corpus.h"

namespace hullft::index {
namespace {
namespace fs = std::filesystem;
using ::testing::HasSubstr;

class BuilderTest : public ::testing::Test {
 protected:
  fs::path Write(const std::string& name, const std::string& content) {
    WriteFileAtomic(folder_ / name, content);
    return folder_ / name;
  }
  TemporaryFolder folder_;
};

// id -> text of all partitions, each read back through every reader function.
std::map<uint64_t, std::string> ReadCorpus(const fs::path& corpus) {
  std::map<uint64_t, std::string> texts;
  const CorpusInfo info = ReadCorpusInfo(corpus);
  for (int p = 0; p < info.partitions; ++p) {
    const auto part = Partition::Open(corpus, p);
    EXPECT_EQ(part->dim(), kDim);
    EXPECT_EQ(static_cast<int64_t>(part->ids().size()), part->info().sequences);
    EXPECT_TRUE(std::is_sorted(part->ids().begin(), part->ids().end()));
    for (size_t row = 0; row < part->ids().size(); ++row) {
      const SequenceId id = part->ids()[row];
      const std::string text = part->ReadText(id);
      EXPECT_TRUE(part->Contains(id));
      EXPECT_EQ(part->ReadTokens(id), FakeTokenize().tokenize(text));
      std::vector<float> vector(kDim);
      part->ReadEmbedding(id, vector);
      EXPECT_EQ(vector, FakeVector(text));
      EXPECT_TRUE(std::ranges::equal(vector, part->rows().Get(row, 1, nullptr)));
      EXPECT_EQ(nlohmann::json::parse(part->ReadMetadata(id))["n"], id.value & 0xffffffffff);
      EXPECT_TRUE(texts.emplace(id.value, text).second);
    }
  }
  return texts;
}

TEST_F(BuilderTest, PartitionsHoldTheDeduplicatedInputAndTheDigestDoesNotDependOnThem) {
  for (uint64_t seed = 0; seed < 3; ++seed) {
    const auto texts = RandomTexts(150, seed);
    const fs::path input = Write("in.jsonl", ToJsonl(texts));
    std::map<uint64_t, std::string> expected;
    std::map<std::string, uint64_t> first;
    for (size_t i = 0; i < texts.size(); ++i) {
      if (first.emplace(texts[i], i).second) expected[i] = texts[i];
    }
    std::string digest;
    for (const int partitions : {1, 2, 4, 24}) {  // with 24 some are nearly empty
      const fs::path output = folder_ / fmt::format("corpus-{}-{}", seed, partitions);
      const CorpusInfo info = BuildCorpus(Settings(input, output, partitions), FakeEmbed(), FakeTokenize());
      EXPECT_EQ(ReadCorpus(output), expected);
      EXPECT_EQ(info.sequences, static_cast<int64_t>(expected.size()));
      EXPECT_EQ(ReadCorpusInfo(output).digest, info.digest);
      if (digest.empty()) digest = info.digest;
      EXPECT_EQ(info.digest, digest) << partitions;
      VerifyCorpus(output, 2, true);
      EXPECT_FALSE(fs::exists(output.string() + ".building"));
      EXPECT_FALSE(fs::exists(output.string() + ".lock"));
    }
  }
}

TEST_F(BuilderTest, TheDigestSeesEveryPartOfTheContent) {
  const auto digest = [&](const std::string& name, const std::string& jsonl, EmbedFunction embed,
                          const TokenizeFunction& tokenize) {
    return BuildCorpus(Settings(Write(name + ".jsonl", jsonl), folder_ / name), std::move(embed), tokenize).digest;
  };
  const std::string base = "{\"text\": \"ab\"}\n{\"text\": \"c\"}\n";
  auto other_vectors = FakeEmbed();
  other_vectors.embed = [](auto texts, auto out) { FakeEmbed().embed(texts, out), out[0] += 1; };
  auto other_tokens = FakeTokenize();
  other_tokens.tokenize = [](std::string_view) { return std::vector<int32_t>{1}; };
  auto other_encoder = FakeEmbed();
  other_encoder.digest = "another";
  std::vector<std::string> digests = {
      digest("a", base, FakeEmbed(), FakeTokenize()),
      digest("b", "{\"text\": \"c\"}\n{\"text\": \"ab\"}\n", FakeEmbed(), FakeTokenize()),
      digest("c", "{\"text\": \"ab\", \"meta\": 1}\n{\"text\": \"c\"}\n", FakeEmbed(), FakeTokenize()),
      digest("d", base, other_vectors, FakeTokenize()),
      digest("e", base, FakeEmbed(), other_tokens),
      digest("f", base, other_encoder, FakeTokenize()),
  };
  EXPECT_EQ(digest("same", base, FakeEmbed(), FakeTokenize()), digests[0]);
  std::sort(digests.begin(), digests.end());
  EXPECT_EQ(std::unique(digests.begin(), digests.end()), digests.end());
}

TEST_F(BuilderTest, SearchEqualsBruteForce) {
  const auto texts = RandomTexts(300, 9);
  BuildCorpus(Settings(Write("in.jsonl", ToJsonl(texts)), folder_ / "c", 3), FakeEmbed(), FakeTokenize());
  for (int p = 0; p < 3; ++p) {
    const auto part = Partition::Open(folder_ / "c", p);
    std::vector<float> queries;
    constexpr int kQueries = 30;
    for (int q = 0; q < kQueries; ++q)
      std::ranges::copy(FakeVector("query" + std::to_string(q)), std::back_inserter(queries));
    const auto hits = part->Search(queries, kQueries, 10);
    for (size_t q = 0; q < kQueries; ++q) {
      std::vector<double> scores;
      for (size_t r = 0; r < part->ids().size(); ++r) {
        double dot = 0;
        for (size_t j = 0; j < kDim; ++j)
          dot += static_cast<double>(queries[q * kDim + j]) * part->rows().Get(r, 1, nullptr)[j];
        scores.push_back(dot);
      }
      auto order = scores;
      std::sort(order.rbegin(), order.rend());
      ASSERT_EQ(hits[q].size(), 10u);
      for (size_t i = 0; i < 10; ++i) {
        const auto row = std::find(part->ids().begin(), part->ids().end(), hits[q][i].id) - part->ids().begin();
        EXPECT_NEAR(scores[static_cast<size_t>(row)], order[i], 1e-6);
        EXPECT_NEAR(hits[q][i].score, order[i], 1e-6);
      }
    }
    EXPECT_EQ(part->Search(std::span(queries).first(kDim), 1, 1 << 20)[0].size(),
              part->ids().size());  // fewer than k: all of them
  }
  const auto part = Partition::Open(folder_ / "c", 0);
  std::vector<float> out(kDim);
  const SequenceId missing{999999};
  EXPECT_FALSE(part->Contains(missing));
  EXPECT_EQ(Caught([&] { part->ReadEmbedding(missing, out); }).code(), Code::kData);
  EXPECT_EQ(Caught([&] { part->ReadTokens(missing); }).code(), Code::kData);
  EXPECT_EQ(Caught([&] { part->ReadText(missing); }).code(), Code::kData);
  EXPECT_EQ(Caught([&] { part->ReadMetadata(missing); }).code(), Code::kData);
}

// Runs in a process of its own, which it kills while it embeds (KilledBuildGoesOn).
TEST(ChildTest, DISABLED_BuildAndDie) {
  const std::string folder = std::getenv("HULLFT_TEST_FOLDER");
  int left = std::atoi(std::getenv("HULLFT_TEST_BATCHES"));
  auto embed = FakeEmbed();
  embed.embed = [&](auto texts, auto out) {
    if (left-- == 0) std::raise(SIGKILL);
    FakeEmbed().embed(texts, out);
    AppendFile(folder + "/embedded").Append(std::string(texts.size(), '.'));
  };
  BuildCorpus(Settings(folder + "/in.jsonl", folder + "/killed", 3), embed, FakeTokenize());
}

TEST_F(BuilderTest, KilledBuildGoesOnAndEndsWithTheSameDigest) {
  const fs::path input = Write("in.jsonl", ToJsonl(RandomTexts(200, 5)));
  const std::string digest = BuildCorpus(Settings(input, folder_ / "whole", 3), FakeEmbed(), FakeTokenize()).digest;
  const std::string self = fs::read_symlink("/proc/self/exe").string();
  for (const int batches : {4, 3, 6, 0}) {  // each start gets as far and dies; the second within the first's partition
    const std::string command = fmt::format(
        "HULLFT_TEST_FOLDER={} HULLFT_TEST_BATCHES={} exec {} --gtest_also_run_disabled_tests "
        "--gtest_filter=ChildTest.* >/dev/null 2>&1",
        folder_.path().string(), batches, self);
    const int status = std::system(command.c_str());
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
    ASSERT_TRUE(fs::exists(folder_ / "killed.building"));
    EXPECT_THAT(Caught([&] { ReadCorpusInfo(folder_ / "killed"); }).hint(), HasSubstr("interrupted"));
  }
  // As if the machine had died inside a write: the torn batch is cut off.
  for (const auto& entry : fs::directory_iterator(folder_ / "killed.building/staging")) {
    if (entry.path().extension() == ".embedded") AppendFile(entry.path()).Append(std::string(100, 'x'));
  }
  auto other = Settings(input, folder_ / "killed", 3);
  other.chunk_bytes = 100;
  const Error error = Caught([&] { BuildCorpus(other, FakeEmbed(), FakeTokenize()); });
  EXPECT_EQ(error.code(), Code::kUsage);
  EXPECT_THAT(error.message(), HasSubstr("chunk_bytes changed"));
  int embedded = 0;
  auto counting = FakeEmbed();
  counting.embed = [&](auto texts, auto out) {
    embedded += static_cast<int>(texts.size()), FakeEmbed().embed(texts, out);
  };
  const CorpusInfo info = BuildCorpus(Settings(input, folder_ / "killed", 3), counting, FakeTokenize());
  EXPECT_EQ(info.digest, digest);
  EXPECT_EQ(embedded, info.sequences - static_cast<int64_t>(fs::file_size(folder_ / "embedded")))
      << "what was embedded before is embedded again";
  VerifyCorpus(folder_ / "killed", 1, true);
}

TEST_F(BuilderTest, AnExistingOutputIsRefusedUnlessForced) {
  const fs::path input = Write("in.jsonl", "{\"text\": \"a\"}\n");
  BuildCorpus(Settings(input, folder_ / "c"), FakeEmbed(), FakeTokenize());
  auto settings = Settings(input, folder_ / "c", 2);
  EXPECT_THAT(Caught([&] { BuildCorpus(settings, FakeEmbed(), FakeTokenize()); }).message(),
              HasSubstr("finished corpus"));
  settings.force = true;
  EXPECT_EQ(BuildCorpus(settings, FakeEmbed(), FakeTokenize()).partitions, 2);
  fs::create_directories(folder_ / "other");
  settings.output = (folder_ / "other").string();
  EXPECT_THAT(Caught([&] { BuildCorpus(settings, FakeEmbed(), FakeTokenize()); }).message(), HasSubstr("not a corpus"));
}

TEST_F(BuilderTest, BadInputLeavesNothingBehindButTheListOfRejects) {
  const fs::path input = Write("in.jsonl", "{\"text\": \"a\"}\n{\"text\": \"\"}\n");
  auto settings = Settings(input, folder_ / "c");
  const Error error = Caught([&] { BuildCorpus(settings, FakeEmbed(), FakeTokenize()); });
  EXPECT_EQ(error.code(), Code::kData);
  EXPECT_THAT(error.message(), HasSubstr("in.jsonl:2"));
  std::vector<std::string> left;
  for (const auto& entry : fs::directory_iterator(folder_.path())) left.push_back(entry.path().filename());
  EXPECT_THAT(left, ::testing::UnorderedElementsAre("in.jsonl", "c.rejects.jsonl"));
  settings.max_rejects = 1;
  EXPECT_EQ(BuildCorpus(settings, FakeEmbed(), FakeTokenize()).sequences, 1);
  settings = Settings(Write("empty.jsonl", "\n"), folder_ / "e");
  EXPECT_THAT(Caught([&] { BuildCorpus(settings, FakeEmbed(), FakeTokenize()); }).message(), HasSubstr("no records"));
  EXPECT_FALSE(fs::exists(folder_ / "e.building"));
}

class GivenEmbeddingsTest : public BuilderTest {
 protected:
  GivenEmbeddingsTest() {
    texts_ = RandomTexts(40, 3);
    settings_ = Settings(Write("in.jsonl", ToJsonl(texts_)), folder_ / "c", 2);
    for (const auto& text : texts_) std::ranges::copy(FakeVector(text), std::back_inserter(values_));
    settings_.embeddings = (folder_ / "x.npy").string();
  }
  Error Fault(int64_t rows, int64_t width, EmbedFunction embed = {}) {
    values_.resize(static_cast<size_t>(rows * width));
    const int64_t shape[] = {rows, width};
    WriteNpy(settings_.embeddings, shape, values_);
    const Error error = Caught([&] { BuildCorpus(settings_, embed, FakeTokenize()); });
    EXPECT_EQ(error.code(), Code::kData);
    EXPECT_FALSE(fs::exists(folder_ / "c"));
    EXPECT_FALSE(fs::exists(folder_ / "c.building"));
    return error;
  }
  std::vector<std::string> texts_;
  std::vector<float> values_;
  BuildSettings settings_;
};

TEST_F(GivenEmbeddingsTest, GiveTheSameContentAsTheEncoderThatMadeThem) {
  const int64_t shape[] = {40, kDim};
  WriteNpy(settings_.embeddings, shape, values_);
  const CorpusInfo given = BuildCorpus(settings_, {{}, kDim, "fake encoder"}, FakeTokenize());
  ReadCorpus(folder_ / "c");
  settings_.embeddings.clear();
  settings_.output = (folder_ / "d").string();
  EXPECT_EQ(BuildCorpus(settings_, FakeEmbed(), FakeTokenize()).digest, given.digest);
  settings_.embeddings = (folder_ / "x.npy").string();
  settings_.output = (folder_ / "e").string();
  EXPECT_EQ(BuildCorpus(settings_, {}, FakeTokenize()).encoder_digest, HashFileHex(settings_.embeddings));
}

TEST_F(GivenEmbeddingsTest, FaultsNameTheFileAndTheRow) {
  EXPECT_THAT(Fault(39, kDim).message(), HasSubstr("39 rows, the input 40"));
  values_.assign(41 * kDim, 0.5F);
  EXPECT_THAT(Fault(41, kDim).message(), HasSubstr("41 rows, the input 40"));
  EXPECT_THAT(Fault(40, 4, {{}, kDim, "e"}).message(), HasSubstr("4 wide, the encoder's are 8"));
  values_.assign(40 * kDim, 0.5F);
  values_[17 * kDim + 3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(Fault(40, kDim).message(), HasSubstr("row 17"));
  values_[17 * kDim + 3] = std::numeric_limits<float>::infinity();
  EXPECT_THAT(Fault(40, kDim).message(), HasSubstr("row 17 (from 0) is not finite: column 3 is inf"));
  std::fill_n(values_.begin() + 17 * kDim, kDim, 0.0F);
  EXPECT_THAT(Fault(40, kDim).message(), HasSubstr("row 17 (from 0) is all zeros"));
}

TEST_F(BuilderTest, AFullDiskIsOneClearErrorAtEveryStage) {
  const fs::path disk = folder_ / "disk";
  fs::create_directories(disk);
  if (::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=300k") != 0) GTEST_SKIP() << "needs the right to mount";
  std::vector<std::string> texts;
  for (int i = 0; i < 60; ++i) texts.push_back(std::to_string(i) + std::string(500, 'a'));
  const fs::path input = Write("in.jsonl", ToJsonl(texts));
  int failures = 0;
  for (int kilobytes = 20; kilobytes <= 280;
       kilobytes += 20) {  // of the 300: where the disk becomes full moves through the stages
    WriteFileAtomic(disk / "ballast", std::string(static_cast<size_t>(300 - kilobytes) << 10, 'b'));
    try {
      BuildCorpus(Settings(input, disk / "c"), FakeEmbed(), FakeTokenize());
      VerifyCorpus(disk / "c", 1, true);
    } catch (const Error& error) {
      ++failures;
      EXPECT_EQ(error.code(), Code::kIo) << error.what();
      EXPECT_THAT(error.hint(), HasSubstr("free some space")) << error.what();
      EXPECT_FALSE(fs::exists(disk / "c"));
    }
    for (const char* name : {"c", "c.building", "ballast"}) fs::remove_all(disk / name);
  }
  EXPECT_GT(failures, 3);
  ::umount(disk.c_str());
}

}  // namespace
}  // namespace hullft::index
