// Every file and folder that a build, a run and its page make, temporaries too, is as closed as the user's umask says,
// and nothing is left in the system's folder for temporaries.
#include <sys/stat.h>

#include <map>

#include "tests/chaos/child.h"
#include "tests/coordinator/run_fixture.h"

namespace hullft::coordinator {
namespace {

class FileModesTest : public RunTest {
 protected:
  // Runs a command with its temporaries in a folder of its own, and looks at all that is there while it runs.
  void Watch(const std::string& umask, const std::vector<std::string>& words) {
    std::string command = "umask " + umask + "; export TMPDIR='" + temporaries_.string() + "'; exec " HULLFT_BINARY;
    for (const std::string& word : words) command += " '" + word + "'";
    const fs::path log = base_ / "command.log";
    chaos::Child child("export HULLFT_TEST_TASK_MS=20; " + command, log);
    while (child.Running()) {
      Look();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    EXPECT_EQ(child.Wait(std::chrono::seconds(1)), 0) << command << "\n" << ReadFile(log);
    Look();
  }
  // The widest mode that each path was seen with. Files may go while they are looked at.
  void Look() {
    for (const fs::path& root : {made_, temporaries_}) {
      std::error_code gone;
      for (fs::recursive_directory_iterator at(root, gone), end; !gone && at != end; at.increment(gone)) {
        struct stat info {};
        if (::lstat(at->path().c_str(), &info) == 0) seen_[at->path()] |= info.st_mode & 0777;
      }
    }
  }
  std::vector<std::string> BuildWords() const {
    return {"index",        "build",
            "--input",      base_ / "corpus.jsonl",
            "--model",      base_ / "model",
            "--embeddings", base_ / "corpus.npy",
            "--index",      "IVF2,Flat",
            "--output",     made_ / "corpus",
            "--partitions", "2",
            "--quiet"};
  }
  std::vector<std::string> RunWords() const {
    std::vector<std::string> words = Arguments("", "", {"--workers", "2", "--stage", made_ / "stage"});
    words.insert(words.begin(), "run");
    *(std::ranges::find(words, "--corpus") + 1) = made_ / "corpus";
    *(std::ranges::find(words, "--output") + 1) = made_ / "run";
    return words;
  }

  fs::path made_, temporaries_;
  std::map<fs::path, unsigned> seen_;
};

TEST_F(FileModesTest, FilesAreAsClosedAsTheUmaskSays) {
  std::vector<float> vectors;
  for (int i = 0; i < kSequences; ++i) {
    const std::vector<float> vector = GridVector(SomeText(static_cast<uint64_t>(i)));
    vectors.insert(vectors.end(), vector.begin(), vector.end());
    if (std::ranges::all_of(vector, [](float x) { return x == 0; })) vectors.back() = 1;
  }
  WriteNpy(base_ / "corpus.npy", std::vector<int64_t>{kSequences, kDim}, vectors);
  const std::map<std::string, unsigned> closed = {{"077", 077}, {"022", 022}};
  for (const auto& [umask, bits] : closed) {
    made_ = base_ / ("made" + umask);
    temporaries_ = base_ / ("temporaries" + umask);
    fs::create_directories(made_);
    fs::create_directories(temporaries_);
    seen_.clear();
    Watch(umask, BuildWords());
    Watch(umask, RunWords());
    Watch(umask, {"report", made_ / "run", "--out", made_ / "page.html"});
    for (const auto& [path, mode] : seen_)
      EXPECT_EQ(mode & bits, 0u) << path << fmt::format(" had mode {:o} under umask {}", mode, umask);
    EXPECT_TRUE(fs::is_empty(temporaries_));
    // That it saw what it is about: the store, the copies, the run's files, and files that were there for a while only.
    const auto saw = [&](const std::string& part) {
      return std::ranges::any_of(
          seen_, [&](const auto& entry) { return entry.first.string().find(part) != std::string::npos; });
    };
    for (const char* part : {"corpus.building", "corpus/part-00001/store/", "corpus/part-00001/index.faiss", "stage/",
                             "run/results.jsonl", "run/layout.txt", "page.html"})
      EXPECT_TRUE(saw(part)) << part;
  }
}

}  // namespace
}  // namespace hullft::coordinator
