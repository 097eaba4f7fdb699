// A build by several ranks (threads of an in-process world) against the build by one.
#include <gmock/gmock.h>

#include <atomic>
#include <map>
#include <thread>

#include "common/comm/in_process.h"
#include "common/npy.h"
#include "index/builder.h"
#include "index/byte_source.h"
#include "index/input_blocks.h"
#include "index/manifest.h"
#include "index/partition_files.h"
#include "index/verify.h"
#include "tests/index/test_corpus.h"

namespace hullft::index {
namespace {
namespace fs = std::filesystem;
using ::testing::HasSubstr;

using LoadFor = std::function<BuildFunctions(int rank)>;

BuildFunctions Fakes(int) {
  return {FakeEmbed(), FakeTokenize()};
}

// What each rank's BuildCorpus threw; code kInternal and an empty message when it threw nothing.
std::vector<Error> Build(int ranks, const BuildSettings& settings, const LoadFor& load = Fakes) {
  std::vector<std::string> hosts;
  for (int r = 0; r < ranks; ++r) hosts.push_back("host" + std::to_string(r));
  comm::InProcessWorld world(ranks, hosts);
  std::vector<Error> errors(static_cast<size_t>(ranks), Error(Code::kInternal, ""));
  std::vector<std::jthread> threads;
  for (int r = 0; r < ranks; ++r) {
    threads.emplace_back([&, r] {
      try {
        BuildCorpus(world.rank(r), settings, [&] { return load(r); });
      } catch (const Error& error) {
        errors[static_cast<size_t>(r)] = error;
      }
    });
  }
  threads.clear();
  return errors;
}

void BuildWell(int ranks, const BuildSettings& settings, const LoadFor& load = Fakes) {
  for (const Error& error : Build(ranks, settings, load)) EXPECT_EQ(error.message(), "") << ranks;
}

// All ranks threw the same; returns it.
Error BuildBadly(int ranks, const BuildSettings& settings, const LoadFor& load = Fakes) {
  const auto errors = Build(ranks, settings, load);
  for (const Error& error : errors) {
    EXPECT_EQ(error.message(), errors[0].message());
    EXPECT_EQ(error.code(), errors[0].code());
    EXPECT_NE(error.message(), "");
  }
  return errors[0];
}

// Everything in a corpus that does not name times or RocksDB's sessions: as read back, and the other files byte by
// byte.
std::map<std::string, std::string> Content(const fs::path& corpus) {
  const CorpusInfo info = VerifyCorpus(corpus, 1, true);
  const CorpusManifest manifest = ReadCorpusManifest(corpus);
  std::map<std::string, std::string> content;
  content["digest"] = info.digest;
  content["counts"] = fmt::format("{} {} {} {}", manifest.records, manifest.duplicates, manifest.rejects, info.tokens);
  for (int p = 0; p < info.partitions; ++p) {
    const fs::path folder = PartitionFolder(corpus, p);
    content[fmt::format("{} digest", p)] = info.parts[static_cast<size_t>(p)].digest;
    for (const char* file : {kIdsFile, "vectors.f32"}) content[fmt::format("{} {}", p, file)] = ReadFile(folder / file);
  }
  return content;
}

class DistributedBuildTest : public ::testing::Test {
 protected:
  fs::path Write(const std::string& name, const std::string& content) {
    fs::create_directories((folder_ / name).parent_path());
    WriteFileAtomic(folder_ / name, content);
    return folder_ / name;
  }
  // JSONL files of several blocks, with bad records and blank lines, and a folder of texts.
  BuildSettings ManyInputs(int partitions) {
    std::string lines = "\xef\xbb\xbf" + ToJsonl(RandomTexts(180, 1));
    lines.insert(lines.find('\n', 3000) + 1, "not JSON\n\n  \n");
    lines.insert(lines.find('\n', 9000) + 1, "{\"text\": \"\"}\n");
    BuildSettings settings = Settings(Write("a.jsonl", lines), folder_ / "c", partitions);
    settings.inputs.push_back(Write("b.jsonl", ToJsonl(RandomTexts(90, 2))).string());
    Write("texts/one.txt", "some lines\nof a text\n" + std::string(300, 'y'));
    Write("texts/two.txt", "others\n");
    settings.inputs.push_back((folder_ / "texts").string());
    settings.inputs.push_back(Write("c.jsonl", ToJsonl(RandomTexts(70, 3))).string());
    settings.chunk_bytes = 64;
    settings.block_bytes = 700;
    settings.max_rejects = 2;
    return settings;
  }
  TemporaryFolder folder_;
};

TEST_F(DistributedBuildTest, AnyNumberOfRanksMakesTheSameCorpus) {
  BuildSettings settings = ManyInputs(4);
  settings.block_bytes = 64 << 20;  // files whole, one rank: the oracle
  settings.output = (folder_ / "one").string();
  BuildCorpus(settings, FakeEmbed(), FakeTokenize());
  const auto expected = Content(folder_ / "one");
  const std::string rejects = ReadFile(folder_ / "one.rejects.jsonl");
  EXPECT_EQ(std::ranges::count(rejects, '\n'), 2);
  for (const int ranks : {1, 2, 3, 5}) {
    for (const int64_t block_bytes : {50, 700, 64 << 20}) {
      settings.block_bytes = block_bytes;
      settings.output = (folder_ / fmt::format("c-{}-{}", ranks, block_bytes)).string();
      BuildWell(ranks, settings);
      EXPECT_EQ(Content(settings.output), expected) << ranks << " ranks, blocks of " << block_bytes;
      EXPECT_EQ(ReadFile(settings.output + ".rejects.jsonl"), rejects);
      EXPECT_FALSE(fs::exists(settings.output + ".building"));
      EXPECT_FALSE(fs::exists(settings.output + ".lock"));
    }
  }
}

TEST_F(DistributedBuildTest, AnyNumberOfRanksGrowsAndMergesToTheSameCorpus) {
  BuildSettings settings = ManyInputs(4);
  BuildCorpus(settings, FakeEmbed(), FakeTokenize());
  BuildSettings more = Settings(Write("d.jsonl", ToJsonl(RandomTexts(120, 4))), settings.output, 3);
  more.inputs.push_back(settings.inputs[1]);  // known already
  more.block_bytes = 900;
  more.grow = true;
  BuildSettings merge = Settings("", folder_ / "m", 5);
  merge.inputs.clear();
  merge.corpora = {settings.output, (folder_ / "one").string()};
  fs::copy(settings.output, folder_ / "before", fs::copy_options::recursive);
  fs::copy(settings.output, folder_ / "one", fs::copy_options::recursive);
  std::map<std::string, std::string> grown, merged;
  for (const int ranks : {1, 2, 5}) {
    fs::remove_all(settings.output);
    fs::copy(folder_ / "before", settings.output, fs::copy_options::recursive);
    BuildWell(ranks, more);
    if (ranks == 1) grown = Content(settings.output);
    EXPECT_EQ(Content(settings.output), grown) << ranks;
    BuildWell(ranks, merge);
    if (ranks == 1) merged = Content(folder_ / "m");
    EXPECT_EQ(Content(folder_ / "m"), merged) << ranks;
    fs::remove_all(folder_ / "m");
  }
  EXPECT_EQ(merged.at("digest"), grown.at("digest")) << "the second corpus is what the first one began with";
}

TEST_F(DistributedBuildTest, PartsOfAFileGiveEveryLineOnceWithItsPlace) {
  BuildSettings settings = ManyInputs(1);
  const auto inputs = ListInputs(settings.inputs);
  for (const int64_t block_bytes : {7, 50, 700, 5000, 1 << 20}) {
    const auto blocks = CutIntoBlocks(inputs, block_bytes);
    std::vector<InputCounts> counts;
    std::vector<std::pair<uint64_t, std::string>> found, expected;
    std::vector<std::pair<int64_t, int64_t>> lines;  // records a block adds
    Rejects rejects("", 100);
    for (size_t b = 0; b < blocks.size(); ++b) {
      InputFile file = inputs[static_cast<size_t>(blocks[b].file)];
      file.number = static_cast<int64_t>(b);
      counts.push_back(ReadInput(file, {.begin = blocks[b].begin, .end = blocks[b].end, .chunk_bytes = 64}, &rejects,
                                 [&](const InputRecord& r) { found.emplace_back(r.id.value, r.text); }));
      if (blocks[b].begin > 0 && b > 0 && blocks[b - 1].file == blocks[b].file) {
        EXPECT_EQ(LinesBefore(blocks[b], file), LinesBefore(blocks[b - 1], file) + counts[b - 1].lines);
      }
    }
    const auto bases = BasesOf(blocks, counts, 0);
    int64_t row = 0;
    for (auto& [id, text] : found) {
      const auto block = id >> kRecordBits;
      EXPECT_GE(row++, bases[block].first_row);
      id = bases[block].first_id.value + (id & static_cast<uint64_t>(kMaxRecords - 1));
    }
    for (const InputFile& file : inputs) {
      ReadInput(file, {.chunk_bytes = 64}, &rejects,
                [&](const InputRecord& r) { expected.emplace_back(r.id.value, r.text); });
    }
    EXPECT_EQ(found, expected) << block_bytes;
  }
}

TEST_F(DistributedBuildTest, BlocksAreDealtOutOnceAndEvenly) {
  std::vector<InputBlock> blocks;
  std::mt19937 random(4);
  int64_t total = 0, largest = 0;
  for (int b = 0; b < 200; ++b) {
    blocks.push_back({b, 0, -1, static_cast<int64_t>(1 + random() % 1000)});
    total += blocks.back().weight;
    largest = std::max(largest, blocks.back().weight);
  }
  for (const int ranks : {1, 2, 7, 300}) {
    std::vector<int> seen(blocks.size(), 0);
    for (const auto& of_rank : DealBlocks(blocks, ranks)) {
      int64_t load = 0;
      for (const int64_t b : of_rank) {
        ++seen[static_cast<size_t>(b)];
        load += blocks[static_cast<size_t>(b)].weight;
      }
      EXPECT_LE(load, total / ranks + largest);
      EXPECT_TRUE(std::ranges::is_sorted(of_rank));
    }
    EXPECT_THAT(seen, ::testing::Each(1));
  }
}

TEST_F(DistributedBuildTest, RanksWithoutAPartitionEmbedToo) {
  std::vector<std::atomic<int>> embedded(4);
  BuildSettings settings = ManyInputs(1);
  settings.batch = 2;
  const auto slow = [&](int rank) {
    BuildFunctions functions = Fakes(rank);
    functions.embed.embed = [&, rank](auto texts, auto out) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      embedded[static_cast<size_t>(rank)] += static_cast<int>(texts.size());
      FakeEmbed().embed(texts, out);
    };
    return functions;
  };
  BuildWell(4, settings, slow);
  int total = 0;
  for (const auto& count : embedded) {
    EXPECT_GT(count, 0);
    total += count;
  }
  EXPECT_EQ(total, ReadCorpusInfo(settings.output).sequences) << "each sequence is embedded once";
}

TEST_F(DistributedBuildTest, GivenEmbeddingsGoToTheirRecords) {
  BuildSettings settings = ManyInputs(4);
  BuildCorpus(settings, FakeEmbed(), FakeTokenize());
  std::vector<float> values;
  int64_t rows = 0;
  Rejects rejects("", 100);
  for (const InputFile& file : ListInputs(settings.inputs)) {
    ReadInput(file, {.chunk_bytes = 64}, &rejects, [&](const InputRecord& record) {
      std::ranges::copy(FakeVector(record.text), std::back_inserter(values));
      ++rows;
    });
  }
  const auto expected = Content(settings.output);
  settings.embeddings = (folder_ / "x.npy").string();
  const int64_t shape[] = {rows, kDim};
  WriteNpy(settings.embeddings, shape, values);
  const auto load = [](int) { return BuildFunctions{{{}, kDim, "fake encoder"}, FakeTokenize()}; };
  for (const int ranks : {3, 5}) {
    settings.output = (folder_ / fmt::format("given-{}", ranks)).string();
    BuildWell(ranks, settings, load);
    EXPECT_EQ(Content(settings.output), expected);
  }
  const int64_t short_shape[] = {rows - 1, kDim};
  values.resize(static_cast<size_t>((rows - 1) * kDim));
  WriteNpy(settings.embeddings, short_shape, values);
  settings.output = (folder_ / "short").string();
  EXPECT_THAT(BuildBadly(3, settings, load).message(), HasSubstr("good records"));
  EXPECT_FALSE(fs::exists(folder_ / "short.building"));
}

TEST_F(DistributedBuildTest, TooManyBadRecordsEndTheBuildForAllWithFileAndLine) {
  std::string lines = ToJsonl(RandomTexts(100, 8));
  const size_t at = lines.find('\n', lines.size() / 2) + 1;
  lines.insert(at, "not JSON\n");
  const auto line = std::count(lines.begin(), lines.begin() + static_cast<long>(at), '\n') + 1;
  BuildSettings settings = Settings(Write("in.jsonl", lines), folder_ / "c", 4);
  settings.block_bytes = 100;
  for (const int ranks : {1, 2, 3}) {
    const Error error = BuildBadly(ranks, settings);
    EXPECT_EQ(error.code(), Code::kData);
    EXPECT_THAT(error.message(), HasSubstr(fmt::format("in.jsonl:{}: the record is not JSON", line)));
    EXPECT_FALSE(fs::exists(folder_ / "c"));
    EXPECT_FALSE(fs::exists(folder_ / "c.building"));
    EXPECT_THAT(ReadFile(folder_ / "c.rejects.jsonl"), HasSubstr(fmt::format("\"line\":{}", line)));
  }
}

TEST_F(DistributedBuildTest, AFailureOnOneRankIsTheSameErrorOnAllAndTheBuildGoesOnWithOtherRanks) {
  BuildSettings settings = ManyInputs(4);
  settings.batch = 3;
  settings.output = (folder_ / "whole").string();
  BuildCorpus(settings, FakeEmbed(), FakeTokenize());
  const auto expected = Content(settings.output);
  settings.output = (folder_ / "c").string();
  std::atomic<int> embedded = 0;
  const auto dies_on = [&](int bad, int after) {
    return [&, bad, after](int rank) {
      BuildFunctions functions = Fakes(rank);
      auto left = std::make_shared<int>(after);
      functions.embed.embed = [&, rank, bad, left](auto texts, auto out) {
        if (rank == bad && (*left)-- == 0) throw Error(Code::kMemory, "no memory left", "buy some");
        FakeEmbed().embed(texts, out);
        embedded += static_cast<int>(texts.size());
      };
      return functions;
    };
  };
  for (const auto& [ranks, bad] : {std::pair{3, 1}, {2, 0}, {5, 3}}) {
    const Error error = BuildBadly(ranks, settings, dies_on(bad, 4));
    EXPECT_EQ(error.code(), Code::kMemory);
    const std::string from = bad == 0 ? "" : fmt::format("rank {0} on host{0}: ", bad);
    EXPECT_EQ(error.message(), from + "no memory left");
    EXPECT_THAT(error.hint(), HasSubstr("buy some"));
    EXPECT_TRUE(fs::exists(folder_ / "c.building"));
    EXPECT_FALSE(fs::exists(folder_ / "c"));
    EXPECT_FALSE(fs::exists(folder_ / "c.lock"));
  }
  BuildWell(3, settings, dies_on(-1, 0));
  EXPECT_EQ(Content(settings.output), expected);
}

TEST_F(DistributedBuildTest, WhatOneRankCannotLoadOrHasOtherwiseIsNamed) {
  const BuildSettings settings = ManyInputs(2);
  Error error = BuildBadly(3, settings, [](int rank) {
    if (rank == 2) throw Error(Code::kIo, "cannot open tokenizer.json");
    return Fakes(rank);
  });
  EXPECT_EQ(error.message(), "rank 2 on host2: cannot open tokenizer.json");
  error = BuildBadly(3, settings, [](int rank) {
    BuildFunctions functions = Fakes(rank);
    if (rank == 1) functions.embed.digest = "another";
    return functions;
  });
  EXPECT_EQ(error.code(), Code::kUsage);
  EXPECT_THAT(error.message(), HasSubstr("rank 1 on host1 has another encoder (another) than rank 0 on host0"));
  EXPECT_FALSE(fs::exists(folder_ / "c.building"));
  fs::create_directories(folder_ / "c");
  EXPECT_THAT(BuildBadly(3, settings).message(), HasSubstr("not a corpus"));
}

TEST_F(DistributedBuildTest, StopOnOneRankStopsAll) {
  BuildSettings settings = ManyInputs(4);
  std::atomic<bool> stop = false;
  settings.stop = [&] { return stop.load(); };
  const Error error = BuildBadly(3, settings, [&](int rank) {
    BuildFunctions functions = Fakes(rank);
    functions.embed.embed = [&](auto texts, auto out) {
      stop = true;
      FakeEmbed().embed(texts, out);
    };
    return functions;
  });
  EXPECT_EQ(error.code(), Code::kInterrupted);
  settings.stop = {};
  BuildWell(2, settings);
}

}  // namespace
}  // namespace hullft::index
