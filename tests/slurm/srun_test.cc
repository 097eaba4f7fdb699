// Commands under plain srun on three nodes: the results of one process, and starts that fail.
#include <future>

#include "tests/slurm/lab_fixture.h"

namespace hullft::coordinator {
namespace {
using ::testing::HasSubstr;

// Three shards, one a node.
TEST_F(SlurmTest, GlobalModeUnderSrun) {
  RunOn({"a"}, Plan("corpus4", "global", {"--pool", "global"}));
  const auto [status, text] = Srun(2, RunWords("corpus4", "srun_global", {"--pool", "global"}));
  ASSERT_EQ(status, 0) << text;
  EXPECT_EQ(Rows("srun_global").size(), static_cast<size_t>(kQueries));
  EXPECT_EQ(Comparable("srun_global"), Comparable("global"));
}

// The real model and the real encoder, one rank a node: shard and worker share it.
TEST_F(SlurmTest, SmolLM2UnderSrun) {
  const char* other = std::getenv("HULLFT_DATA");
  const std::string data = other != nullptr ? other : HULLFT_SOURCE_DIR "/data";
  const std::string model = data + "/models/smollm2-135m-instruct", encoder = data + "/models/all-minilm-l6-v2";
  ASSERT_TRUE(fs::exists(model) && fs::exists(encoder)) << "scripts/get_models fetches the models";
  const std::string index = base_ / "smol", queries = base_ / "queries.jsonl";
  const auto [built, printed] = Shell(fmt::format(
      "timeout 200 {} index build --input {} --model {} --encoder {} --partitions 3 --output {} --threads 2 --quiet",
      HULLFT_BINARY, (base_ / "corpus.jsonl").string(), model, encoder, index));
  ASSERT_EQ(built, 0) << printed;
  const auto words = [&](const std::string& output) {
    return std::vector<std::string>{"run",       "--corpus", index,      "--queries",    queries,   "--model",   model,
                                    "--encoder", encoder,    "--output", base_ / output, "--limit", "3",         "--n",
                                    "2",         "--k",      "8",        "--max-length", "64",      "--threads", "1",
                                    "--quiet"};
  };
  std::string alone = "timeout 200 " HULLFT_BINARY;
  for (const std::string& word : words("smol_alone")) alone += " '" + word + "'";
  const auto [ran, said] = Shell(alone);
  ASSERT_EQ(ran, 0) << said;
  const auto [status, text] = Srun(1, words("smol_srun"));
  ASSERT_EQ(status, 0) << text;
  EXPECT_EQ(Rows("smol_srun").size(), 3u);
  EXPECT_EQ(Comparable("smol_srun"), Comparable("smol_alone"));
}

// A start that fails ends the job soon, not with success, and says why.
void ExpectEnd(const std::pair<int, std::string>& outcome, int status, const std::string& message) {
  EXPECT_EQ(outcome.first, status) << outcome.second;
  EXPECT_THAT(outcome.second, HasSubstr(message));
}

TEST_F(SlurmTest, BadUsage) {
  ExpectEnd(Srun(2, RunWords("corpus4", "none", {"--batch", "many"})), ExitStatus(Code::kUsage), "--batch");
  EXPECT_FALSE(fs::exists(base_ / "none"));
}

// The first run leaves each node its copies; the second finds that of n2 damaged.
TEST_F(SlurmTest, ADamagedPartitionOfOneNode) {
  const std::vector<std::string> stage = {"--stage", "/dev/shm/stage"};
  const auto [status, text] = Srun(2, RunWords("corpus4", "staged", stage));
  ASSERT_EQ(status, 0) << text;
  EXPECT_EQ(Comparable("staged"), Comparable("reference"));
  const auto [damaged, said] =
      Lab("on n2 bash -c 'printf x | dd of=$(ls /dev/shm/stage/*/part-*/vectors.f32 | head -n 1) bs=1 seek=99 "
          "conv=notrunc'");
  ASSERT_EQ(damaged, 0) << said;
  const auto outcome = Srun(2, RunWords("corpus4", "none", stage));
  ExpectEnd(outcome, ExitStatus(Code::kData), "vectors.f32 has another checksum");
  EXPECT_THAT(outcome.second, ::testing::ContainsRegex("partition [0-3] on n2: "));
  const size_t once = outcome.second.find("has another checksum");
  EXPECT_EQ(once, outcome.second.rfind("has another checksum")) << outcome.second;
  EXPECT_FALSE(fs::exists(base_ / "none"));
}

TEST_F(SlurmTest, MoreNodesThanPartitions) {
  ExpectEnd(Srun(2, RunWords("corpus2", "none")), ExitStatus(Code::kUsage),
            "3 ranks would be shards of a corpus with 2 partitions");
  EXPECT_FALSE(fs::exists(base_ / "none"));
}

// Rank 3, the worker of the second node, has another setting.
TEST_F(SlurmTest, ARankThatDiffers) {
  std::vector<std::string> words = RunWords("corpus4", "none");
  words.insert(words.begin(),
               {"-c", "[ $SLURM_PROCID != 3 ] || set -- \"$@\" --lr 0.5; exec \"$0\" \"$@\"", HULLFT_BINARY});
  ExpectEnd(Srun(2, words, "", "bash"), ExitStatus(Code::kUsage),
            "rank 3 on n2 has another setting than the other ranks: 'lr = 0.5'");
  EXPECT_FALSE(fs::exists(base_ / "none"));
}

TEST_F(SlurmTest, ARankThatDiesOrHangsWhileLoading) {
  ExpectEnd(Srun(2, RunWords("corpus4", "none"), "HULLFT_TEST_START=dies:3"), 137, "n2: task 3: Killed");
  ExpectEnd(Srun(2, RunWords("corpus4", "none", {"--start-timeout", "5"}), "HULLFT_TEST_START=hangs:3"),
            ExitStatus(Code::kPeer), "not yet entered by rank 3 on host n2");
  EXPECT_FALSE(fs::exists(base_ / "none"));
}

// `hullft index build` of a corpus that takes a few seconds.
class SlurmBuildTest : public SlurmTest {
 protected:
  static void SetUpTestSuite() {
    SlurmTest::SetUpTestSuite();
    if (!missing_.empty()) return;
    std::vector<std::string> texts;
    std::vector<float> vectors;
    for (int i = 0; i < kTexts; ++i) {
      texts.push_back(SomeText(static_cast<uint64_t>(5000 + i)));
      const std::vector<float> vector = GridVector(texts.back());
      vectors.insert(vectors.end(), vector.begin(), vector.end());
      if (std::ranges::all_of(vector, [](float x) { return x == 0; })) vectors.back() = 1;
    }
    WriteJsonl(base_ / "texts.jsonl", texts);
    WriteNpy(base_ / "texts.npy", std::vector<int64_t>{kTexts, kDim}, vectors);
  }
  static std::vector<std::string> BuildWords(const std::string& output) {
    return {"index",        "build",
            "--input",      base_ / "texts.jsonl",
            "--model",      base_ / "model",
            "--embeddings", base_ / "texts.npy",
            "--partitions", "4",
            "--batch",      "4",
            "--threads",    "1",
            "--output",     base_ / output,
            "--quiet"};
  }
  static std::string Digest(const std::string& output) { return index::ReadCorpusInfo(base_ / output).digest; }
  // Of the process on this node that srun started; "" while there is none.
  static std::string PidOn(const std::string& node) {
    std::istringstream lines(Lab("on " + node + " scontrol listpids").second);
    std::string line, pid, job, step, local, global;
    std::getline(lines, line);
    while (lines >> pid >> job >> step >> local >> global) {
      if (global != "-" && local != "-") return pid;
    }
    return "";
  }

  static constexpr int kTexts = 1500;
};

TEST_F(SlurmBuildTest, AKilledRankOfABuildChangesNothing) {
  std::string alone = "timeout 200 " HULLFT_BINARY;
  for (const std::string& word : BuildWords("built_alone")) alone += " '" + word + "'";
  const auto [built, said] = Shell(alone);
  ASSERT_EQ(built, 0) << said;

  auto job = std::async(std::launch::async, [] { return Srun(2, BuildWords("built")); });
  ASSERT_TRUE(WaitFor(60, [] { return fs::exists(base_ / "built.building"); }));
  const std::string pid = PidOn("n2");
  ASSERT_EQ(Lab("on n2 kill -9 " + pid).first, 0) << pid;
  const auto [killed, text] = job.get();
  ASSERT_NE(killed, 0) << text;
  ASSERT_FALSE(fs::exists(base_ / "built")) << "it was done before the kill: make the corpus larger";

  const auto [status, printed] = Srun(2, BuildWords("built"));
  ASSERT_EQ(status, 0) << printed;
  EXPECT_EQ(Digest("built"), Digest("built_alone"));
}

}  // namespace
}  // namespace hullft::coordinator
