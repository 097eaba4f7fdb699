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

// What is killed, over and over, until it has made or changed the corpus "killed".
enum class Work { kBuild, kAdd, kRepartition };

CorpusInfo Do(Work work, const fs::path& folder, const std::string& name) {
  auto settings = Settings(folder / "in.jsonl", folder / name, 3);
  settings.batch = 40;
  settings.block_bytes = 20'000;
  settings.index = "IVF8,SQ8";
  if (work == Work::kAdd) {
    settings.inputs = {(folder / "more.jsonl").string()};
    settings.grow = true;
    settings.partitions = 2;
  }
  if (work == Work::kRepartition) {
    settings.inputs.clear();
    settings.corpora = {(folder / "base").string()};
    settings.partitions = 5;
    return BuildCorpus(settings, {}, {});
  }
  return BuildCorpus(settings, FakeEmbed(), FakeTokenize());
}

// Runs in a process of its own.
TEST(KillChild, DISABLED_Works) {
  Do(static_cast<Work>(std::atoi(std::getenv("HULLFT_TEST_WORK"))), std::getenv("HULLFT_TEST_FOLDER"), "killed");
}

pid_t StartChild(Work work, const fs::path& folder) {
  ::setenv("HULLFT_TEST_FOLDER", folder.c_str(), 1);
  ::setenv("HULLFT_TEST_WORK", std::to_string(static_cast<int>(work)).c_str(), 1);
  return StartDisabledTest("KillChild.*", "/dev/null");
}

class Kill : public ::testing::Test {
 protected:
  Kill() {
    WriteFileAtomic(folder_ / "in.jsonl", ToJsonl(RandomTexts(900, 11)));
    WriteFileAtomic(folder_ / "more.jsonl", ToJsonl(RandomTexts(700, 12)));
    Do(Work::kBuild, folder_.path(), "base");
  }

  // As it is before the work.
  void Reset(Work work) {
    for (const char* name : {"killed", "killed.building", "killed.lock"}) fs::remove_all(folder_ / name);
    if (work == Work::kAdd) fs::copy(folder_ / "base", folder_ / "killed", fs::copy_options::recursive);
  }

  bool IsDone(const std::string& digest) const {
    return fs::exists(folder_ / "killed") && ReadCorpusInfo(folder_ / "killed").digest == digest;
  }

  // Killed at least so often, up to three times before it may end.
  void Try(Work work, int kills) {
    Reset(work);
    const std::string digest = Do(work, folder_.path(), "killed").digest;
    Reset(work);
    const auto start = Clock::now();
    int status = 0;
    ASSERT_GT(::waitpid(StartChild(work, folder_.path()), &status, 0), 0);
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
    ASSERT_TRUE(IsDone(digest));
    auto longest = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start);
    std::mt19937_64 random(static_cast<uint64_t>(start.time_since_epoch().count()));  // other moments each time
    for (int killed = 0; killed < kills;) {
      Reset(work);
      for (uint64_t times = 1 + random() % 3; times > 0 && !IsDone(digest); --times) {
        const pid_t child = StartChild(work, folder_.path());
        std::this_thread::sleep_for(longest * (random() % 1000) / 1000);
        ::kill(child, SIGKILL);
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        killed += WIFSIGNALED(status) ? 1 : 0;
        if (!WIFSIGNALED(status)) longest = longest * 3 / 4;         // it had ended: the machine is less busy now
        if (work == Work::kAdd) ReadCorpusInfo(folder_ / "killed");  // the old or the new one, at any moment
      }
      if (work == Work::kAdd || !IsDone(digest)) Do(work, folder_.path(), "killed");
      EXPECT_EQ(VerifyCorpus(folder_ / "killed", 2, true).digest, digest);
      EXPECT_FALSE(fs::exists(folder_ / "killed.building"));
    }
  }

  // HULLFT_KILLS: of builds; a quarter as often for the others.
  static int Kills(int part) {
    const char* wanted = std::getenv("HULLFT_KILLS");
    return std::max(1, (wanted != nullptr ? std::atoi(wanted) : 2) / part);
  }
  TemporaryFolder folder_;
};

TEST_F(Kill, ABuildAtAnyMomentAndTheSameCommandEndsWithTheSameCorpus) {
  Try(Work::kBuild, Kills(1));
}

TEST_F(Kill, AnAdditionAtAnyMomentToo) {
  Try(Work::kAdd, Kills(4));
}

TEST_F(Kill, ANewCutIntoPartitionsToo) {
  Try(Work::kRepartition, Kills(4));
}

}  // namespace
}  // namespace hullft::index
