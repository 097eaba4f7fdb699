// Corpora that grow, are merged, cut up otherwise, written out and read back: the oracle is one build of all the files.
#include <gmock/gmock.h>

#include <map>

#include "common/npy.h"
#include "index/corpus.h"
#include "index/export.h"
#include "index/manifest.h"
#include "index/repair.h"
#include "index/verify.h"
#include "tests/index/test_corpus.h"

namespace hullft::index {
namespace {
namespace fs = std::filesystem;
using ::testing::HasSubstr;

class GrowthTest : public ::testing::Test {
 protected:
  fs::path Write(const std::string& name, const std::string& content) {
    WriteFileAtomic(folder_ / name, content);
    return folder_ / name;
  }
  // File f of some; texts recur within and between files.
  fs::path Input(int f) {
    const fs::path path = folder_ / fmt::format("in{}.jsonl", f);
    if (fs::exists(path)) return path;
    auto texts = RandomTexts(90, 100 + static_cast<uint64_t>(f));
    for (int g = 0; g < f; ++g) {
      const auto others = RandomTexts(90, 100 + static_cast<uint64_t>(g));
      texts.insert(texts.begin() + 7 * g, others.begin(), others.begin() + 30);
    }
    return Write(path.filename(), ToJsonl(texts));
  }
  BuildSettings Of(const std::vector<int>& files, const std::string& name, int partitions) {
    BuildSettings settings = Settings("", folder_ / name, partitions);
    settings.inputs.clear();
    for (const int f : files) settings.inputs.push_back(Input(f).string());
    return settings;
  }
  CorpusInfo Build(const std::vector<int>& files, const std::string& name, int partitions) {
    return BuildCorpus(Of(files, name, partitions), FakeEmbed(), FakeTokenize());
  }
  BuildSettings Growing(const std::vector<int>& files, const std::string& name, int partitions) {
    BuildSettings settings = Of(files, name, partitions);
    settings.grow = true;
    settings.index = "";
    return settings;
  }
  CorpusInfo Add(const std::vector<int>& files, const std::string& name, int partitions = 0) {
    return BuildCorpus(Growing(files, name, partitions), FakeEmbed(), FakeTokenize());
  }
  BuildSettings Merging(const std::vector<std::string>& names, const std::string& output, int partitions) {
    BuildSettings settings = Settings("", folder_ / output, partitions);
    settings.inputs.clear();
    settings.index = "";
    for (const std::string& name : names) settings.corpora.push_back((folder_ / name).string());
    return settings;
  }
  // Without models: nothing is embedded or tokenized again.
  CorpusInfo Merge(const std::vector<std::string>& names, const std::string& output, int partitions) {
    return BuildCorpus(Merging(names, output, partitions), {}, {});
  }
  void ExpectWhole(const std::string& name, const std::string& digest) {
    EXPECT_EQ(VerifyCorpus(folder_ / name, 2, true).digest, digest) << name;
    EXPECT_FALSE(fs::exists(folder_ / (name + ".building")));
    EXPECT_FALSE(fs::exists(folder_ / (name + ".lock")));
  }
  std::map<std::string, std::string> Files(const std::string& name) {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(folder_ / name))
      if (entry.is_regular_file()) files[entry.path().string()] = ReadFile(entry.path());
    return files;
  }
  TemporaryFolder folder_;
};

// All hits of a query with an id below `end`, best first; ties by id.
std::vector<std::pair<float, uint64_t>> HitsBelow(const fs::path& corpus, const std::string& query, uint64_t end) {
  const CorpusInfo info = ReadCorpusInfo(corpus);
  std::vector<std::pair<float, uint64_t>> hits;
  for (int p = 0; p < info.partitions; ++p) {
    const auto found = Partition::Open(corpus, p)->Search(FakeVector(query), 1, 1 << 20);
    for (const Hit& hit : found[0])
      if (hit.id.value < end) hits.emplace_back(-hit.score, hit.id.value);
  }
  std::sort(hits.begin(), hits.end());
  return hits;
}

TEST_F(GrowthTest, GenerationsHoldWhatOneBuildOfAllFilesHolds) {
  const std::string all = Build({0, 1, 2, 3}, "all", 3).digest;
  for (const int partitions : {0, 1, 2, 6}) {  // of what is added: as many, fewer, with and without a common divisor
    const std::string name = fmt::format("grown{}", partitions);
    Build({0, 1}, name, 3);
    const auto before = Files(name);
    const CorpusManifest old = ReadCorpusManifest(folder_ / name);
    Add({2}, name, partitions);
    const CorpusInfo info = Add({3}, name, partitions);
    EXPECT_EQ(info.digest, all);
    EXPECT_EQ(info.generations.size(), 3u);
    EXPECT_EQ(info.partitions, 3 + 2 * (partitions == 0 ? 3 : partitions));
    ExpectWhole(name, all);
    for (const auto& [path, content] : before) {
      if (path.ends_with("corpus.json")) continue;
      EXPECT_EQ(ReadFile(path), content) << path;
    }
    const CorpusManifest now = ReadCorpusManifest(folder_ / name);
    for (size_t p = 0; p < 3; ++p) {
      EXPECT_EQ(now.info.parts[p].digest, old.info.parts[p].digest);
      EXPECT_EQ(now.files[p].hash, old.files[p].hash);
    }
    EXPECT_EQ(now.records, ReadCorpusManifest(folder_ / "all").records);
    EXPECT_EQ(now.duplicates, ReadCorpusManifest(folder_ / "all").duplicates);
  }
}

TEST_F(GrowthTest, OldIdsKeepTheirResults) {
  Build({0, 1}, "c", 2);
  const uint64_t end = uint64_t{2} << 40;
  const auto before = HitsBelow(folder_ / "c", "a query", end);
  Add({2, 3}, "c");
  EXPECT_EQ(HitsBelow(folder_ / "c", "a query", end), before);
  EXPECT_GT(HitsBelow(folder_ / "c", "a query", ~uint64_t{0}).size(), before.size());
}

// A larger effort would find more among the old ones.
TEST_F(GrowthTest, AnIndexKeepsItsEffort) {
  BuildSettings settings = Of({0, 1}, "c", 2);
  settings.index = "IVF4,SQ8";
  settings.target_recall = 0.3;
  settings.recall_k = 10;
  const CorpusInfo old = BuildCorpus(settings, FakeEmbed(), FakeTokenize());
  const uint64_t end = uint64_t{2} << 40;
  const auto before = HitsBelow(folder_ / "c", "a query", end);
  const CorpusInfo info = Add({2}, "c");
  EXPECT_EQ(info.generations.back().index, "IVF4,SQ8");
  EXPECT_EQ(info.recall.effort, old.recall.effort);
  EXPECT_EQ(info.recall.k, 10);
  EXPECT_EQ(HitsBelow(folder_ / "c", "a query", end), before);
  BuildSettings flat = Growing({3}, "c", 1);
  flat.index = "Flat";
  EXPECT_EQ(BuildCorpus(flat, FakeEmbed(), FakeTokenize()).generations.back().index, "Flat");
  ExpectWhole("c", Build({0, 1, 2, 3}, "all", 1).digest);
  EXPECT_TRUE(RepairCorpus(folder_ / "c", 1).empty());
  EXPECT_EQ(HitsBelow(folder_ / "c", "a query", end), before);
  flat.index = "IVF2,SQ8";
  EXPECT_THAT(Caught([&] { BuildCorpus(flat, FakeEmbed(), FakeTokenize()); }).message(), HasSubstr("IVF4,SQ8"));
}

TEST_F(GrowthTest, TheSameCommandAddsNothingTwice) {
  Build({0}, "c", 2);
  const std::string digest = Add({1}, "c").digest;
  const CorpusInfo again = Add({1}, "c");
  EXPECT_EQ(again.digest, digest);
  EXPECT_EQ(again.generations.size(), 2u);
  // Under another name all its texts are known.
  fs::copy_file(Input(1), folder_ / "in9.jsonl");
  const CorpusInfo empty = Add({9}, "c");
  EXPECT_EQ(empty.digest, digest);
  EXPECT_EQ(empty.generations.size(), 3u);
  EXPECT_EQ(empty.generations.back().duplicates, empty.generations.back().records);
  ExpectWhole("c", digest);
}

// The checked-in one was made by hullft 0.1.0.
TEST_F(GrowthTest, ACorpusFromBeforeThereWereGenerationsGrows) {
  fs::copy(fs::path(HULLFT_GOLDENS) / "corpus_format1", folder_ / "old", fs::copy_options::recursive);
  const CorpusInfo old = ReadCorpusInfo(folder_ / "old");
  auto embed = FakeEmbed();
  embed.digest = old.encoder_digest;
  auto tokenize = FakeTokenize();
  tokenize.digest = old.tokenizer_digest;
  const std::string known = "text number 3 of the old format";
  BuildSettings settings = Growing({}, "old", 0);
  settings.inputs = {Write("new.jsonl", ToJsonl({"one that is new", known})).string()};
  const CorpusInfo info = BuildCorpus(settings, embed, tokenize);
  EXPECT_EQ(info.sequences, old.sequences + 1);
  EXPECT_EQ(info.partitions, 2 * old.partitions);
  EXPECT_EQ(info.generations.back().first_file, 1);
  EXPECT_EQ(info.generations.back().duplicates, 1);
  ExpectWhole("old", info.digest);
  EXPECT_EQ(Merge({"old"}, "merged", 2).digest, info.digest);
}

TEST_F(GrowthTest, WhatDoesNotFitIsRefusedByName) {
  const std::string digest = Build({0}, "c", 2).digest;
  const auto refused = [&](const EmbedFunction& embed, const TokenizeFunction& tokenize, const std::string& text) {
    const Error error = Caught([&] { BuildCorpus(Growing({1}, "c", 0), embed, tokenize); });
    EXPECT_EQ(error.code(), Code::kUsage) << error.what();
    EXPECT_THAT(error.message(), HasSubstr(text));
    ExpectWhole("c", digest);
  };
  auto embed = FakeEmbed();
  embed.digest = "another model";
  refused(embed, FakeTokenize(), "another encoder (another model) than");
  embed = FakeEmbed();
  embed.dim = 7;
  refused(embed, FakeTokenize(), "another width of embeddings (7) than");
  auto tokenize = FakeTokenize();
  tokenize.digest = "another vocabulary";
  refused(FakeEmbed(), tokenize, "another tokenizer (another vocabulary) than");
  BuildSettings given = Growing({1}, "c", 0);
  given.embeddings = (folder_ / "x.npy").string();
  const float values[] = {1, 0, 0, 0, 0, 0, 0, 0};
  const int64_t shape[] = {1, 8};
  WriteNpy(given.embeddings, shape, values);
  EXPECT_THAT(Caught([&] { BuildCorpus(given, {}, FakeTokenize()); }).message(),
              HasSubstr("nothing says which encoder made"));
  EXPECT_THAT(Caught([&] { Add({0}, "none"); }).message(), HasSubstr("none is not a finished corpus"));
  ExpectWhole("c", digest);
}

TEST_F(GrowthTest, MergedCorporaAreOneBuildOfAllFiles) {
  const std::string all = Build({0, 1, 2, 3}, "all", 2).digest;
  Build({0, 1}, "a", 2);
  Build({2}, "b", 1);
  Add({3}, "b", 2);
  for (const int partitions : {0, 1, 5}) {
    const std::string name = fmt::format("m{}", partitions);
    const CorpusInfo info = Merge({"a", "b"}, name, partitions);
    EXPECT_EQ(info.digest, all);
    EXPECT_EQ(info.partitions, partitions == 0 ? 2 : partitions);
    EXPECT_EQ(info.generations.size(), 1u);
    ExpectWhole(name, all);
    EXPECT_EQ(ReadCorpusManifest(folder_ / name).records, ReadCorpusManifest(folder_ / "all").records);
  }
  // What is merged grows on: the numbers of files go on too.
  Build({0, 1, 2, 3, 4}, "more", 2);
  EXPECT_EQ(Add({4}, "m5").digest, ReadCorpusInfo(folder_ / "more").digest);
  // Generations of one corpus keep their ids.
  EXPECT_EQ(Merge({"b"}, "b1", 3).digest, ReadCorpusInfo(folder_ / "b").digest);
}

TEST_F(GrowthTest, StoredTypesAndIndexesAreKeptAndMixturesRefused) {
  BuildSettings half = Of({0}, "half", 2);
  half.embedding_type = EmbeddingType::kF16;
  half.index = "IVF2,SQ8";
  half.recall_k = 5;
  const std::string digest = BuildCorpus(half, FakeEmbed(), FakeTokenize()).digest;
  const CorpusInfo other = Merge({"half"}, "half5", 5);
  EXPECT_EQ(other.digest, digest);
  EXPECT_EQ(other.embedding_type, EmbeddingType::kF16);
  EXPECT_EQ(other.index, "IVF2,SQ8");
  EXPECT_EQ(other.recall.curve.empty(), false);
  ExpectWhole("half5", digest);
  Build({1}, "full", 1);
  EXPECT_THAT(Caught([&] { Merge({"half", "full"}, "x", 1); }).message(), HasSubstr("type of stored embeddings (f32)"));
  auto embed = FakeEmbed();
  embed.digest = "another model";
  BuildCorpus(Of({2}, "foreign", 1), embed, FakeTokenize());
  EXPECT_THAT(Caught([&] {
                Merge({"full", "foreign"}, "x", 1);
              }).message(),
              HasSubstr("foreign has another encoder (another model) than"));
  EXPECT_FALSE(fs::exists(folder_ / "x.building"));
}

TEST_F(GrowthTest, AnExportIsReadBackToTheSameContent) {
  Build({0, 1}, "c", 3);
  const CorpusInfo info = Add({2, 3}, "c", 2);
  const CorpusInfo exported = ExportCorpus({folder_ / "c", folder_ / "c.jsonl", folder_ / "c.npy", true});
  EXPECT_EQ(exported.digest, info.digest);
  const auto import = [&](const std::string& name, bool keep_ids) {
    BuildSettings settings = Settings(folder_ / "c.jsonl", folder_ / name, 2);
    settings.embeddings = (folder_ / "c.npy").string();
    settings.keep_ids = keep_ids;
    settings.block_bytes = 1500;
    return BuildCorpus(settings, {{}, 0, "fake encoder"}, FakeTokenize()).digest;
  };
  EXPECT_EQ(import("back", true), info.digest);
  ExpectWhole("back", info.digest);
  EXPECT_NE(import("anew", false), info.digest);
  EXPECT_EQ(Add({4}, "back").digest, Add({4}, "c").digest) << "new ids follow those that were brought";
  // The same files from other partitions.
  Merge({"c"}, "one", 1);
  fs::rename(folder_ / "c.jsonl", folder_ / "before.jsonl");
  EXPECT_THAT(Caught([&] {
                ExportCorpus({folder_ / "one", folder_ / "c.jsonl", folder_ / "c.npy", true});
              }).message(),
              HasSubstr("c.npy exists"));
  EXPECT_FALSE(fs::exists(folder_ / "c.jsonl.partial"));
}

TEST_F(GrowthTest, IdsThatAreBroughtMustBeUniqueNumbers) {
  const auto fault = [&](const std::string& jsonl, int partitions) {
    BuildSettings settings = Settings(Write("ids.jsonl", jsonl), folder_ / "ids", partitions);
    settings.keep_ids = true;
    const Error error = Caught([&] { BuildCorpus(settings, FakeEmbed(), FakeTokenize()); });
    EXPECT_EQ(error.code(), Code::kData) << error.what();
    EXPECT_FALSE(fs::exists(folder_ / "ids"));
    fs::remove_all(folder_ / "ids.building");
    return error.message();
  };
  const std::string a = "{\"text\": \"a\", \"id\": 7}\n";
  EXPECT_THAT(fault(a + "{\"text\": \"b\"}\n", 1), HasSubstr("ids.jsonl:2: the record has no field 'id'"));
  EXPECT_THAT(fault(a + "{\"text\": \"b\", \"id\": -1}\n", 1), HasSubstr("'id' that is not one whole number"));
  EXPECT_THAT(fault(a + "{\"text\": \"b\", \"id\": \"8\"}\n", 1), HasSubstr("'id' that is not one whole number"));
  for (const int partitions : {1, 7})  // in one partition, or in two
    EXPECT_THAT(fault(a + "{\"text\": \"b\", \"id\": 7}\n", partitions), HasSubstr("two records have the id 7"));
  EXPECT_THAT(fault(a + a, 3), HasSubstr("two records have the id 7"));
}

}  // namespace
}  // namespace hullft::index
