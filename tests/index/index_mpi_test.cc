// hullft index build under mpirun: the same corpus as from one process, one clear error, and an end by a lost rank.
#include <gmock/gmock.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <cstdlib>

#include "common/npy.h"
#include "index/corpus.h"
#include "index/verify.h"
#include "tests/index/test_corpus.h"

namespace hullft::index {
namespace {
namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

struct Outcome {
  int status = -1;     // exit status; 124: it hung
  std::string output;  // standard output and error of all ranks
};

class IndexMpiTest : public ::testing::Test {
 protected:
  IndexMpiTest() {
    ::setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
    ::setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
    ::setenv("OMPI_MCA_mpi_yield_when_idle", "1", 1);
    fs::create_directories(folder_ / "model");
    fs::copy(fs::path(HULLFT_GOLDENS) / "tokenizers/gpt2_1000.tokenizer.json", folder_ / "model/tokenizer.json");
    const auto texts = RandomTexts(120, 6);
    WriteFileAtomic(folder_ / "in.jsonl", ToJsonl(texts));
    std::vector<float> values;
    for (const auto& text : texts) std::ranges::copy(FakeVector(text), std::back_inserter(values));
    const int64_t shape[] = {static_cast<int64_t>(texts.size()), kDim};
    WriteNpy(folder_ / "x.npy", shape, values);
  }

  // ranks 0: without mpirun.
  Outcome Build(int ranks, const std::string& output, const std::string& more = "") const {
    const std::string launcher =
        ranks == 0 ? "" : fmt::format("{} --oversubscribe --bind-to none -n {}", HULLFT_MPIRUN, ranks);
    const std::string command = fmt::format(
        "cd {} && timeout -k 5 60 {} {} index build --input in.jsonl --model model --embeddings x.npy --partitions 4 "
        "--batch 8 --threads 1 --output {} {} 2>&1",
        folder_.path().string(), launcher, HULLFT_BINARY, output, more);
    FILE* pipe = ::popen(command.c_str(), "r");
    if (pipe == nullptr) throw IoError("start", command);
    Outcome outcome;
    std::array<char, 4096> buffer{};
    while (const size_t n = ::fread(buffer.data(), 1, buffer.size(), pipe)) outcome.output.append(buffer.data(), n);
    const int status = ::pclose(pipe);
    outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return outcome;
  }
  TemporaryFolder folder_;
};

TEST_F(IndexMpiTest, ThreeProcessesMakeTheSameCorpusAsOne) {
  ASSERT_EQ(Build(0, "one").status, 0);
  for (const int ranks : {1, 3}) {
    const std::string name = "mpi" + std::to_string(ranks);
    const Outcome outcome = Build(ranks, name);
    ASSERT_EQ(outcome.status, 0) << outcome.output;
    EXPECT_EQ(VerifyCorpus(folder_ / name, 1, true).digest, ReadCorpusInfo(folder_ / "one").digest);
    EXPECT_EQ(outcome.output.find("digest "), outcome.output.rfind("digest ")) << "only rank 0 prints";
  }
}

TEST_F(IndexMpiTest, ABadRecordIsOneErrorOfTheJob) {
  AppendFile(folder_ / "in.jsonl").Append("not JSON\n");
  const Outcome outcome = Build(3, "c");
  EXPECT_EQ(outcome.status, ExitStatus(Code::kData)) << outcome.output;
  const std::string text = "in.jsonl:121: the record is not JSON";
  EXPECT_THAT(outcome.output, HasSubstr(text));
  EXPECT_EQ(outcome.output.find(text), outcome.output.rfind(text)) << outcome.output;
  EXPECT_FALSE(fs::exists(folder_ / "c.building"));
  EXPECT_FALSE(fs::exists(folder_ / "c"));
}

}  // namespace
}  // namespace hullft::index
