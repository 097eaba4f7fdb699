// Whole runs in this process over a tiny corpus and a tiny random model: any number of ranks, shards, partitions and
// any batch size must give the same rows bit for bit; stopping, resuming and failing must neither lose nor repeat a
// query.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <fstream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <thread>

#include "coordinator/queries.h"
#include "tests/coordinator/run_fixture.h"

namespace hullft::coordinator {
namespace {
using ::testing::HasSubstr;

TEST_F(RunTest, AnyWorldGivesTheSameRows) {
  RunOn({"a"}, Plan("corpus1", "reference"));
  const std::string reference = Comparable("reference");
  const std::vector<Row> rows = LatestRows(Rows("reference"));
  ASSERT_EQ(rows.size(), static_cast<size_t>(kQueries));
  for (const Row& row : rows) {
    ASSERT_TRUE(row.ok) << row.reason;
    EXPECT_EQ(row.pool, 12);
    EXPECT_EQ(std::accumulate(row.counts.begin(), row.counts.end(), 0), 6);
    EXPECT_EQ(row.steps, 6);
    EXPECT_NE(row.before.rolling, row.after.rolling);
    EXPECT_GT(row.before.rolling, 0);
  }
  EXPECT_GT(rows[5].windows, 1);
  EXPECT_EQ(rows[2].weights, rows[7].weights);
  EXPECT_NE(rows[2].key, rows[7].key);

  struct World {
    std::vector<std::string> hosts;
    int partitions;
    int batch;
  };
  const World worlds[] = {{{"a"}, 4, 1},
                          {{"a", "a"}, 2, 32},
                          {{"a", "b"}, 2, 3},
                          {{"a", "a", "a"}, 1, 4},
                          {{"a", "b", "c"}, 4, 32},
                          {{"a", "a", "b", "b", "c"}, 4, 5},
                          {{"a", "b", "c", "d", "d"}, 4, 1}};
  int number = 0;
  for (const World& world : worlds) {
    const std::string output = "world" + std::to_string(number++);
    RunOn(world.hosts,
          Plan("corpus" + std::to_string(world.partitions), output, {"--batch", std::to_string(world.batch)}));
    EXPECT_EQ(Comparable(output), reference) << world.hosts.size() << " ranks, " << world.partitions << " partitions";
  }
}

TEST_F(RunTest, ARepartitionedCorpusGivesTheSameRows) {
  RunOn({"a"}, Plan("corpus4", "before"));
  index::BuildSettings settings;
  settings.corpora = {(base_ / "corpus4").string()};
  settings.output = (base_ / "corpus3").string();
  settings.partitions = 3;
  settings.index = "";
  settings.quiet = true;
  index::BuildCorpus(settings, {}, {});
  RunOn({"a", "b"}, Plan("corpus3", "after"));
  EXPECT_EQ(Comparable("after"), Comparable("before"));
}

// The pool against brute force over the whole corpus in float64, in the total order (score, then id).
TEST_F(RunTest, StagedPartitionsGiveTheSameRowsAndAreCopiedOnce) {
  RunOn({"a", "b", "b"}, Plan("corpus4", "unstaged"));
  const fs::path disk = base_ / "disk";
  RunOn({"a", "b", "b"}, Plan("corpus4", "staged", {"--stage", disk.string()}));
  EXPECT_EQ(Comparable("staged"), Comparable("unstaged"));
  std::map<std::string, fs::file_time_type> times;
  for (const auto& entry : fs::recursive_directory_iterator(disk)) {
    const bool lock = entry.path().extension() == ".lock";  // says who holds it
    if (entry.is_regular_file() && !lock) times[entry.path()] = entry.last_write_time();
  }
  RunOn({"a", "b", "c"}, Plan("corpus4", "staged again", {"--stage", disk.string()}));
  EXPECT_EQ(Comparable("staged again"), Comparable("unstaged"));
  EXPECT_FALSE(times.empty());
  for (const auto& [file, time] : times) EXPECT_EQ(fs::last_write_time(file), time) << file;
}

TEST_F(RunTest, AMissingPartitionIsAnErrorUnlessPartialIsAllowed) {
  fs::copy(base_ / "corpus4", base_ / "holed", fs::copy_options::recursive);
  const std::string lost = base_ / "holed" / "part-00002";
  fs::remove_all(lost);
  for (const std::vector<std::string>& hosts : {std::vector<std::string>{"a"}, {"a", "b", "b"}, {"a", "b", "c"}}) {
    const Error error = Caught([&] { RunOn(hosts, Plan("holed", "none")); });
    EXPECT_EQ(error.code(), Code::kData);
    EXPECT_THAT(error.message(), HasSubstr("partition 2 on "));
    EXPECT_THAT(error.message(), HasSubstr(lost));
    EXPECT_TRUE(Rows("none").empty());
  }
  // A flipped byte is found where partitions are copied, and named with its host.
  fs::copy(base_ / "corpus4", base_ / "flipped", fs::copy_options::recursive);
  const fs::path file = base_ / "flipped/part-00001/vectors.f32";
  std::string bytes = ReadFile(file);
  bytes[bytes.size() - 3] = static_cast<char>(bytes[bytes.size() - 3] ^ 4);
  WriteFileAtomic(file, bytes);
  const std::string disk = base_ / "disk2";
  const Error error = Caught([&] { RunOn({"a", "b"}, Plan("flipped", "none", {"--stage", disk})); });
  EXPECT_THAT(error.message(), HasSubstr("partition 1 on "));
  EXPECT_THAT(error.message(), HasSubstr("vectors.f32 has another checksum"));

  const index::CorpusInfo corpus = index::ReadCorpusInfo(base_ / "holed");
  const double expected = 1 - static_cast<double>(corpus.parts[2].sequences) / static_cast<double>(corpus.sequences);
  std::string table;
  RunPlan plan = Plan("holed", "partial");
  plan.settings.allow_partial = true;
  RunOn({"a", "b"}, plan, &table);
  const auto rows = LatestRows(Rows("partial"));
  ASSERT_EQ(rows.size(), static_cast<size_t>(kQueries));
  for (const Row& row : rows) EXPECT_DOUBLE_EQ(row.coverage, expected);
  EXPECT_THAT(table, ::testing::StartsWith("PARTIAL: only "));
}

TEST_F(RunTest, ThePoolIsTheKNearestExactly) {
  RunOn({"a", "b", "c"}, Plan("corpus4", "nearest", {"--method", "knn", "--n", "12", "--margin", "0"}));
  const std::vector<Row> rows = LatestRows(Rows("nearest"));
  const QueryFile queries = ReadQueries(base_ / "queries.jsonl", {}, 0, "", 0);
  ASSERT_EQ(rows.size(), queries.queries.size());
  for (size_t q = 0; q < rows.size(); ++q) {
    const std::vector<float> target = GridVector(queries.queries[q].text);
    std::vector<std::pair<double, uint64_t>> order;
    for (uint64_t i = 0; i < kSequences; ++i) {
      const std::vector<float> row = GridVector(SomeText(i));
      double score = 0;
      for (int j = 0; j < kDim; ++j)
        score += static_cast<double>(row[static_cast<size_t>(j)]) * target[static_cast<size_t>(j)];
      order.emplace_back(-score, i);  // one input file: the id is the record number
    }
    std::sort(order.begin(), order.end());
    std::vector<uint64_t> expected;
    for (int k = 0; k < 12; ++k) expected.push_back(order[static_cast<size_t>(k)].second);
    EXPECT_EQ(rows[q].ids, expected) << q;
  }
}

// Frank-Wolfe over the whole corpus: as over one pool that holds all of it in the order of ids, on any world.
TEST_F(RunTest, GlobalModeIsOnePoolOfTheWholeCorpus) {
  struct World {
    std::vector<std::string> hosts;
    int partitions, batch;
  };
  const World worlds[] = {{{"a"}, 1, 4},           {{"a"}, 4, 1},
                          {{"a", "b"}, 2, 3},      {{"a", "b", "c"}, 4, 32},
                          {{"a", "a", "a"}, 1, 5}, {{"a", "b", "c", "d", "d"}, 4, 2}};
  std::string reference;
  for (const World& world : worlds) {
    const std::string output = "global" + std::to_string(&world - worlds);
    RunOn(world.hosts, Plan("corpus" + std::to_string(world.partitions), output,
                            {"--pool", "global", "--batch", std::to_string(world.batch)}));
    if (reference.empty()) reference = Comparable(output);
    EXPECT_EQ(Comparable(output), reference) << world.hosts.size() << " ranks, " << world.partitions << " partitions";
  }
  const QueryFile queries = ReadQueries(base_ / "queries.jsonl", {}, 0, "", 0);
  std::vector<float> corpus;
  for (uint64_t i = 0; i < kSequences; ++i) std::ranges::copy(GridVector(SomeText(i)), std::back_inserter(corpus));
  select::SelectOptions options;
  options.n = 6;
  const std::vector<Row> rows = LatestRows(Rows("global0"));
  ASSERT_EQ(rows.size(), static_cast<size_t>(kQueries));
  for (size_t q = 0; q < rows.size(); ++q) {
    const std::vector<float> target = GridVector(queries.queries[q].text);
    const select::Selection expected = select::Select({corpus, target, kSequences, kDim}, options);
    EXPECT_EQ(rows[q].ids, std::vector<uint64_t>(expected.support.begin(), expected.support.end())) << q;
    EXPECT_EQ(rows[q].weights, expected.weights);
    EXPECT_EQ(rows[q].counts, expected.counts);
    EXPECT_EQ(rows[q].gap, expected.gap);
    EXPECT_EQ(rows[q].objective, expected.objective);
    EXPECT_EQ(rows[q].rounded_residual_norm, expected.rounded_residual_norm);
    EXPECT_EQ(rows[q].stop, expected.stop);
    EXPECT_EQ(rows[q].steps, 6);
    EXPECT_TRUE(rows[q].global);
    EXPECT_EQ(rows[q].pool, kSequences);
    EXPECT_FALSE(rows[q].pool_objective);
  }
}

TEST_F(RunTest, BothPoolsGiveTheGlobalChoiceAndTheRegret) {
  RunOn({"a", "b"}, Plan("corpus4", "both", {"--pool", "both"}));
  RunOn({"a"}, Plan("corpus2", "both_global", {"--pool", "global"}));
  RunOn({"a"}, Plan("corpus2", "both_knn"));
  const std::vector<Row> both = LatestRows(Rows("both")), global = LatestRows(Rows("both_global")),
                         knn = LatestRows(Rows("both_knn"));
  ASSERT_EQ(both.size(), static_cast<size_t>(kQueries));
  for (size_t q = 0; q < both.size(); ++q) {
    EXPECT_EQ(both[q].ids, global[q].ids);
    EXPECT_EQ(both[q].weights, global[q].weights);
    EXPECT_EQ(both[q].after.rolling, global[q].after.rolling);
    ASSERT_TRUE(both[q].pool_objective);
    EXPECT_EQ(*both[q].pool_objective, knn[q].objective);
    const auto json = nlohmann::json::parse(ToJsonLine(both[q]));
    EXPECT_EQ(json.at("pool_regret").get<double>(), knn[q].objective - global[q].objective);
    EXPECT_EQ(json.at("pool_mode"), "global");
    EXPECT_EQ(nlohmann::json::parse(ToJsonLine(knn[q])).at("pool_mode"), "knn");
  }
  const Error error = Caught([] { Plan("corpus2", "none", {"--pool", "global", "--method", "sift"}); });
  EXPECT_EQ(error.code(), Code::kUsage);
  EXPECT_THAT(error.message(), HasSubstr("--pool global: the method sift"));
  const Error variant = Caught([] { Plan("corpus2", "none", {"--pool", "global", "--fw-variant", "pairwise"}); });
  EXPECT_EQ(variant.code(), Code::kUsage);
  EXPECT_THAT(variant.message(), HasSubstr("--pool global: --fw-variant pairwise"));
}

TEST_F(RunTest, EveryMethodRunsAndASmallCorpusIsNoError) {
  for (const char* method : {"knn", "random", "sift", "hullft"}) {
    const std::string output = std::string("method_") + method;
    const RunOutcome outcome =
        RunOn({"a"}, Plan("corpus2", output, {"--method", method, "--k", "5000", "--limit", "2", "--refresh", "inf"}));
    EXPECT_EQ(outcome.finished, 2);
    for (const Row& row : Rows(output)) EXPECT_EQ(row.pool, kSequences);
  }
  const Error error = Caught([] {
    RunOn({"a"}, Plan("corpus2", "too_many", {"--method", "knn", "--k", "500", "--n", "91"}));
  });
  EXPECT_EQ(error.code(), Code::kUsage);
  EXPECT_THAT(error.message(), HasSubstr("--n 91 is more than the 90 sequences"));
  EXPECT_FALSE(fs::exists(base_ / "too_many"));
}

TEST_F(RunTest, GoesOnWhereItWasAndRepeatsNothing) {
  std::string whole, resumed;
  RunOn({"a"}, Plan("corpus2", "whole"), &whole);
  EXPECT_EQ(RunOn({"a"}, Plan("corpus2", "pieces", {"--limit", "3"})).finished, 3);
  // A crash in the middle of a row.
  const std::string journal = ReadFile(base_ / "pieces/results.jsonl");
  std::ofstream(base_ / "pieces/results.jsonl", std::ios::binary | std::ios::trunc)
      << journal.substr(0, journal.size() - 40);
  const RunOutcome outcome = RunOn({"a", "b"}, Plan("corpus2", "pieces"), &resumed);
  EXPECT_EQ(outcome.skipped, 2);
  EXPECT_EQ(outcome.finished, kQueries - 2);
  EXPECT_EQ(Rows("pieces").size(), static_cast<size_t>(kQueries));
  EXPECT_EQ(Comparable("pieces"), Comparable("whole"));
  EXPECT_EQ(ResultsTable(MakeReport(Rows("pieces"))), ResultsTable(MakeReport(Rows("whole"))));
  EXPECT_EQ(resumed.substr(0, resumed.find("ms a query")), whole.substr(0, whole.find("ms a query")));
  EXPECT_EQ(RunOn({"a"}, Plan("corpus2", "pieces")).skipped, kQueries);
  EXPECT_EQ(Rows("pieces").size(), static_cast<size_t>(kQueries));
}

TEST_F(RunTest, AnotherRunsFolderIsRefusedNamingTheDifference) {
  RunOn({"a"}, Plan("corpus1", "taken", {"--limit", "1"}));
  Error error = Caught([] { RunOn({"a"}, Plan("corpus1", "taken", {"--n", "7"})); });
  EXPECT_EQ(error.code(), Code::kUsage);
  EXPECT_THAT(error.message(), HasSubstr("holds a run with --n = 6, not 7"));
  fs::copy(base_ / "queries.npy", base_ / "other.npy");
  std::ofstream(base_ / "other.npy", std::ios::in | std::ios::binary).seekp(-4, std::ios::end).write("\0\0\0\0", 4);
  error = Caught([] { RunOn({"a"}, Plan("corpus1", "taken", {"--query-embeddings", base_ / "other.npy"})); });
  EXPECT_THAT(error.message(), HasSubstr("query embeddings"));
}

TEST_F(RunTest, ASequenceThatCannotBeTrainedOnFailsItsQueriesOnly) {
  Build("broken", 2, 5000);  // the model has 1000 tokens
  const RunOutcome outcome = RunOn({"a", "a", "a"}, Plan("broken", "failures"));
  EXPECT_GT(outcome.failed, 0);
  EXPECT_GT(outcome.finished, 0);
  EXPECT_EQ(outcome.failed + outcome.finished, kQueries);
  int64_t failed = 0;
  for (const Row& row : Rows("failures")) {
    if (row.ok) continue;
    ++failed;
    EXPECT_THAT(row.reason, HasSubstr("5000"));
    EXPECT_EQ(row.attempts, 2);
  }
  EXPECT_EQ(failed, outcome.failed);
  EXPECT_EQ(MakeReport(Rows("failures")).all.failed, failed);
  // The next run tries the failed ones again, and only them.
  const RunOutcome again = RunOn({"a"}, Plan("broken", "failures"));
  EXPECT_EQ(again.skipped, outcome.finished);
  EXPECT_EQ(again.failed, outcome.failed);
}

TEST_F(RunTest, BadEmbeddingsAreErrors) {
  std::vector<float> values(kQueries * kDim, 0.5f);
  WriteNpy(base_ / "short.npy", std::vector<int64_t>{kQueries - 1, kDim},
           std::span(values).first((kQueries - 1) * kDim));
  WriteNpy(base_ / "wide.npy", std::vector<int64_t>{kQueries / 2, kDim * 2}, values);
  values[3 * kDim + 1] = std::numeric_limits<float>::quiet_NaN();
  WriteNpy(base_ / "nan.npy", std::vector<int64_t>{kQueries, kDim}, values);
  const std::pair<const char*, const char*> cases[] = {{"short.npy", "9 rows"},
                                                       {"wide.npy", "shape 5 x 16"},
                                                       {"nan.npy", "row 3 is not finite: column 1 is nan"},
                                                       {"none.npy", "none.npy"}};
  for (const auto& [file, message] : cases) {
    for (const std::vector<std::string>& hosts : {std::vector<std::string>{"a"}, {"a", "b"}}) {
      const Error error = Caught([&] { RunOn(hosts, Plan("corpus2", "bad", {"--query-embeddings", base_ / file})); });
      EXPECT_THAT(error.message(), HasSubstr(message));
      EXPECT_FALSE(fs::exists(base_ / "bad"));
    }
  }
}

TEST_F(RunTest, BadQueriesArePutAsideOrEndTheRun) {
  const std::string good = ReadFile(base_ / "queries.jsonl");
  std::ofstream(base_ / "some_bad.jsonl") << "{\"text\": 3}\n" << good << "not json\n";
  const Error error = Caught([] {
    RunOn({"a"}, Plan("corpus1", "rejecting", {"--queries", base_ / "some_bad.jsonl"}));
  });
  EXPECT_EQ(error.code(), Code::kData);
  EXPECT_THAT(error.message(), HasSubstr("some_bad.jsonl:1"));
  EXPECT_FALSE(fs::exists(base_ / "rejecting/results.jsonl"));
}

TEST_F(RunTest, MoreShardsThanPartitionsIsAnErrorOnEveryRank) {
  const Error error = Caught([] { RunOn({"a", "b", "c"}, Plan("corpus2", "shards")); });
  EXPECT_EQ(error.code(), Code::kUsage);
  EXPECT_THAT(error.hint(), HasSubstr("--partitions 3"));
}

TEST_F(RunTest, ASignalEndsTheRunInOrder) {
  const std::atomic<int> stop = SIGINT;
  const RunOutcome outcome = RunOn({"a", "b"}, Plan("corpus2", "signalled"), nullptr, &stop);
  EXPECT_TRUE(outcome.stopped);
  EXPECT_TRUE(outcome.workers_left);
  EXPECT_LT(outcome.finished, kQueries);
  EXPECT_EQ(RunOn({"a"}, Plan("corpus2", "signalled")).skipped, outcome.finished);
}

// The real program, killed without warning as soon as it has written a row; then the same command.
TEST_F(RunTest, KilledAndStartedAgainGivesTheSameTable) {
  const auto start = [&](const std::string& output) {
    const std::vector<std::string> words = Arguments("corpus2", output, {"--lr", "1e-4"});
    std::vector<std::string> command = {HULLFT_BINARY, "run"};
    command.insert(command.end(), words.begin(), words.end());
    std::vector<char*> argv;
    for (std::string& word : command) argv.push_back(word.data());
    argv.push_back(nullptr);
    const pid_t pid = ::fork();
    if (pid == 0) {
      if (std::freopen("/dev/null", "w", stdout) != nullptr && std::freopen("/dev/null", "w", stderr) != nullptr) {
        ::execv(HULLFT_BINARY, argv.data());
      }
      ::_exit(127);
    }
    return pid;
  };
  int kills = 0, status = 0;
  for (size_t rows = 0; rows < static_cast<size_t>(kQueries);) {
    ASSERT_LT(kills, 100);
    const pid_t pid = start("killed");
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::minutes(2);
    while (::waitpid(pid, &status, WNOHANG) == 0) {
      const fs::path journal = base_ / "killed/results.jsonl";
      if ((fs::exists(journal) && ReadJournal(journal).rows.size() > rows) ||
          std::chrono::steady_clock::now() > give_up) {
        ::kill(pid, SIGKILL);
        ::waitpid(pid, &status, 0);
        ++kills;
        break;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    ASSERT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 0) << WEXITSTATUS(status);
    rows = Rows("killed").size();
  }
  EXPECT_GT(kills, 0);
  ::waitpid(start("undisturbed"), &status, 0);
  ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_EQ(Rows("killed").size(), static_cast<size_t>(kQueries));
  EXPECT_EQ(Comparable("killed"), Comparable("undisturbed"));
}

}  // namespace
}  // namespace hullft::coordinator
