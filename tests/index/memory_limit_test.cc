// A corpus four times larger than the memory it may take is built, verified and served, under a limit that the system
// enforces (RLIMIT_DATA: all memory but mapped files). HULLFT_BUDGET_MB: how much.
#include <sys/resource.h>
#include <sys/wait.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "index/corpus.h"
#include "index/sequence_store.h"
#include "index/verify.h"
#include "tests/index/start_test.h"
#include "tests/index/test_corpus.h"

namespace hullft::index {
namespace {
namespace fs = std::filesystem;

constexpr int kWidth = 384;
constexpr int64_t kTextBytes = 1000, kBytesPerSequence = 2 * 4 * kWidth + kTextBytes / 2 + kTextBytes / 4;

int64_t BudgetMb() {
  const char* wanted = std::getenv("HULLFT_BUDGET_MB");
  return wanted != nullptr ? std::atoll(wanted) : 128;
}

int64_t Sequences() {
  return 4 * BudgetMb() * 1'050'000 / kBytesPerSequence;
}

// About 1 kB that does not compress to nothing.
std::string TextOf(int64_t i) {
  std::mt19937_64 random(static_cast<uint64_t>(i));
  std::string text = std::to_string(i);
  while (static_cast<int64_t>(text.size()) < kTextBytes) text += " " + std::to_string(random() % 100'000);
  return text;
}

void FillVector(uint64_t seed, std::span<float> out) {
  std::mt19937_64 random(seed);
  double square = 0;
  for (float& x : out) {
    x = static_cast<float>(static_cast<int64_t>(random() % 2001) - 1000);
    square += static_cast<double>(x) * x;
  }
  for (float& x : out) x /= static_cast<float>(std::sqrt(square));
}

// Lets this process have so much more than it has now.
void LimitMemory(int64_t bytes) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    int64_t kib = 0;
    if (std::sscanf(line.c_str(), "VmData: %ld kB", &kib) != 1) continue;
    const rlimit limit{static_cast<rlim_t>(kib * 1024 + bytes), static_cast<rlim_t>(kib * 1024 + bytes)};
    ASSERT_EQ(::setrlimit(RLIMIT_DATA, &limit), 0);
    return;
  }
  FAIL() << "no VmData";
}

BuildSettings SettingsOf(const fs::path& folder) {
  auto settings = Settings(folder / "in.jsonl", folder / "corpus", 4);
  settings.batch = 512;
  settings.block_bytes = 8 << 20;
  settings.memory_budget = BudgetMb() * 1'000'000;
  return settings;
}

// Runs in a process of its own.
TEST(MemoryLimitChild, DISABLED_BuildsVerifiesAndServes) {
  const fs::path folder = std::getenv("HULLFT_TEST_FOLDER");
  LimitMemory(BudgetMb() * 1'000'000);
  const EmbedFunction embed{[](std::span<const std::string_view> texts, std::span<float> out) {
                              for (size_t i = 0; i < texts.size(); ++i)
                                FillVector(Hash64(texts[i]), out.subspan(i * kWidth, kWidth));
                            },
                            kWidth, "fake encoder"};
  const TokenizeFunction tokenize{[](std::string_view text) {
                                    std::vector<int32_t> tokens;
                                    for (size_t i = 0; i < text.size(); i += 4) tokens.push_back(text[i]);
                                    return tokens;
                                  },
                                  "fake tokenizer"};
  BuildCorpus(SettingsOf(folder), embed, tokenize);
  std::puts("built");
  const CorpusInfo info = VerifyCorpus(folder / "corpus", 2, true);
  std::puts("verified");
  ASSERT_EQ(info.sequences, Sequences());
  const auto cache = std::make_shared<BlockCache>(8'000'000);
  std::vector<float> queries(16 * kWidth);
  for (size_t q = 0; q < 16; ++q)
    FillVector(Hash64(TextOf(static_cast<int64_t>(q))), std::span(queries).subspan(q * kWidth, kWidth));
  size_t found = 0;
  for (int p = 0; p < info.partitions; ++p) {
    const auto part = Partition::Open(info.folder, p, cache);
    const auto hits = part->Search(queries, 16, 200);
    for (size_t q = 0; q < hits.size(); ++q) {
      std::vector<SequenceId> ids;
      for (const Hit& hit : hits[q]) ids.push_back(hit.id);
      const auto texts = part->ReadTexts(ids);
      found += static_cast<size_t>(std::ranges::count(texts, TextOf(static_cast<int64_t>(q))));
    }
  }
  EXPECT_EQ(found, 16U) << "every query is a sequence of the corpus";
  EXPECT_LE(cache->used_bytes(), 8'000'000);
}

TEST(MemoryLimit, ACorpusFourTimesLargerIsBuiltVerifiedAndServed) {
  std::string name = (fs::temp_directory_path() / "hullft_memory_XXXXXX").string();  // on a disk: not in memory
  ASSERT_NE(::mkdtemp(name.data()), nullptr);
  const fs::path folder = name;
  {
    std::ofstream input(folder / "in.jsonl");
    for (int64_t i = 0; i < Sequences(); ++i) input << "{\"text\": \"" << TextOf(i) << "\"}\n";
  }
  ::setenv("HULLFT_TEST_FOLDER", folder.c_str(), 1);
  rlimit stacks{};
  ASSERT_EQ(::getrlimit(RLIMIT_STACK, &stacks), 0);
  const rlimit small{1 << 20, stacks.rlim_max};  // the limit counts stacks of threads as they may grow
  ASSERT_EQ(::setrlimit(RLIMIT_STACK, &small), 0);
  const pid_t child = StartDisabledTest("MemoryLimitChild.*", folder / "output");
  ASSERT_EQ(::setrlimit(RLIMIT_STACK, &stacks), 0);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << ReadFile(folder / "output");
  const CorpusInfo info = ReadCorpusInfo(folder / "corpus");
  int64_t disk = 0;
  for (const PartitionInfo& part : info.parts) disk += part.disk_bytes;
  EXPECT_GE(disk, 4 * BudgetMb() * 1'000'000);
  fs::remove_all(folder);
}

}  // namespace
}  // namespace hullft::index
