// Builds killed at random moments go on to the corpus of an undisturbed build. HULLFT_KILLS: how many; 20 at night.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "index/verify.h"
#include "tests/index/test_corpus.h"

extern char** environ;  // NOLINT: POSIX's name

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
  std::string self = fs::read_symlink("/proc/self/exe");
  std::string also = "--gtest_also_run_disabled_tests", filter = "--gtest_filter=KillChild.*";
  char* argv[] = {self.data(), also.data(), filter.data(), nullptr};
  posix_spawn_file_actions_t quiet;
  ::posix_spawn_file_actions_init(&quiet);
  for (const int fd : {1, 2}) ::posix_spawn_file_actions_addopen(&quiet, fd, "/dev/null", O_WRONLY, 0);
  pid_t child = -1;
  const int fault = ::posix_spawn(&child, self.c_str(), &quiet, nullptr, argv, environ);
  ::posix_spawn_file_actions_destroy(&quiet);
  if (fault != 0) throw DataError("cannot start {}: {}", self, fault);
  return child;
}

TEST(Kill, AtAnyMomentTheSameCommandEndsWithTheSameCorpus) {
  const char* wanted = std::getenv("HULLFT_KILLS");
  const int kills = wanted != nullptr ? std::atoi(wanted) : 3;
  const TemporaryFolder folder;
  WriteFileAtomic(folder / "in.jsonl", ToJsonl(RandomTexts(900, 11)));
  const std::string digest = Build(folder.path(), "whole").digest;
  const auto start = Clock::now();
  int status = 0;
  ASSERT_EQ(::waitpid(StartChild(folder.path()), &status, 0) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0,
            true);
  const auto whole = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start);
  fs::remove_all(folder / "killed");
  std::mt19937_64 random(static_cast<uint64_t>(start.time_since_epoch().count()));  // other moments each time
  int killed = 0;
  for (int k = 0; k < kills; ++k) {
    for (uint64_t times = 1 + random() % 3; times > 0 && !fs::exists(folder / "killed"); --times) {
      const pid_t child = StartChild(folder.path());
      std::this_thread::sleep_for(whole * (random() % 1000) / 1000);
      ::kill(child, SIGKILL);
      ASSERT_EQ(::waitpid(child, &status, 0), child);
      killed += WIFSIGNALED(status) ? 1 : 0;
    }
    if (!fs::exists(folder / "killed")) Build(folder.path(), "killed");
    EXPECT_EQ(VerifyCorpus(folder / "killed", 2, true).digest, digest);
    fs::remove_all(folder / "killed");
  }
  EXPECT_GE(killed, 1) << "every child had ended before it was killed";
}

}  // namespace
}  // namespace hullft::index
