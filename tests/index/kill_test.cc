// Builds killed at random moments go on to the corpus of an undisturbed build. HULLFT_KILLS: how many; 20 at night.
#include <sys/wait.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "index/verify.h"
#include "tests/index/start_test.h"
#include "tests/index/test_corpus.h"

namespace hullft::index {
namespace {
namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

CorpusInfo Build(const fs::path& folder, const std::string& name) {
  auto settings = Settings(folder / "in.jsonl", folder / name, 3);
  settings.index = "IVF8,SQ8";
  settings.batch = 40;
  settings.block_bytes = 20'000;
  return BuildCorpus(settings, FakeEmbed(), FakeTokenize());
}

// Runs in a process of its own.
TEST(KillChild, DISABLED_Builds) {
  Build(std::getenv("HULLFT_TEST_FOLDER"), "killed");
}

pid_t StartChild(const fs::path& folder) {
  ::setenv("HULLFT_TEST_FOLDER", folder.c_str(), 1);
  return StartDisabledTest("KillChild.*", "/dev/null");
}

TEST(Kill, AtAnyMomentTheSameCommandEndsWithTheSameCorpus) {
  const char* wanted = std::getenv("HULLFT_KILLS");
  const int kills = wanted != nullptr ? std::atoi(wanted) : 2;
  const TemporaryFolder folder;
  WriteFileAtomic(folder / "in.jsonl", ToJsonl(RandomTexts(900, 11)));
  const std::string digest = Build(folder.path(), "whole").digest;
  const auto start = Clock::now();
  int status = 0;
  ASSERT_EQ(::waitpid(StartChild(folder.path()), &status, 0) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0,
            true);
  auto longest = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start);
  fs::remove_all(folder / "killed");
  std::mt19937_64 random(static_cast<uint64_t>(start.time_since_epoch().count()));  // other moments each time
  for (int killed = 0; killed < kills;) {
    for (uint64_t times = 1 + random() % 3; times > 0 && !fs::exists(folder / "killed"); --times) {
      const pid_t child = StartChild(folder.path());
      std::this_thread::sleep_for(longest * (random() % 1000) / 1000);
      ::kill(child, SIGKILL);
      ASSERT_EQ(::waitpid(child, &status, 0), child);
      killed += WIFSIGNALED(status) ? 1 : 0;
      if (!WIFSIGNALED(status)) longest = longest * 3 / 4;  // it had ended: the machine is less busy now
    }
    if (!fs::exists(folder / "killed")) Build(folder.path(), "killed");
    EXPECT_EQ(VerifyCorpus(folder / "killed", 2, true).digest, digest);
    fs::remove_all(folder / "killed");
  }
}

}  // namespace
}  // namespace hullft::index
