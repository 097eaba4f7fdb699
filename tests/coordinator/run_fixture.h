// What tests of whole runs share: a tiny corpus with a tiny random model, runs over it in this process or as a command,
// and what must be equal of two runs.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "common/comm/in_process.h"
#include "common/files.h"
#include "common/hash.h"
#include "common/npy.h"
#include "common/tokenizer/tokenizer.h"
#include "coordinator/journal.h"
#include "coordinator/report.h"
#include "coordinator/run_rank.h"
#include "index/builder.h"
#include "tests/caught.h"

namespace hullft::coordinator {
namespace fs = std::filesystem;

inline constexpr int kDim = 8, kSequences = 90, kQueries = 10;

// Vectors on a coarse grid, many of them equal: ties in the scores, across shards too, are the rule here.
inline std::vector<float> GridVector(const std::string& text) {
  std::mt19937_64 random(Hash64(text));
  std::vector<float> vector(kDim);
  for (float& x : vector) x = static_cast<float>(static_cast<int>(random() % 3) - 1) / 2;
  return vector;
}

inline std::string SomeText(uint64_t seed) {
  static const char* kWords[] = {"the",   "gradient", "of",  "a",  "shard", "is",    "index",
                                 "round", "return",   "int", "42", "\n",    "corpus"};
  std::mt19937_64 random(seed);
  std::string text = "text " + std::to_string(seed) + ":";
  for (uint64_t w = 3 + random() % 25; w > 0; --w) text += std::string(" ") + kWords[random() % std::size(kWords)];
  return text;
}

inline void WriteJsonl(const fs::path& path, const std::vector<std::string>& texts) {
  std::ofstream file(path);
  for (size_t i = 0; i < texts.size(); ++i) {
    file << nlohmann::json{{"text", texts[i]}, {"meta", {{"pile_set_name", i % 3 == 0 ? "Threes" : "Others"}}}}.dump()
         << "\n";
  }
}

class RunTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { Prepare(::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"); }
  // Fills a new folder under `where`: model, corpora of 1, 2 and 4 partitions, queries and their embeddings.
  static void Prepare(const std::string& where) {
    std::string name = where + "/hullft_run_XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    base_ = name;
    const fs::path goldens = HULLFT_GOLDENS;
    fs::create_directories(base_ / "model");
    for (const char* file : {"config.json", "model.safetensors"})
      fs::copy(goldens / "finetune/gpt2" / file, base_ / "model" / file);
    fs::copy(goldens / "tokenizers/gpt2_1000.tokenizer.json", base_ / "model/tokenizer.json");

    std::vector<std::string> texts, queries;
    for (int i = 0; i < kSequences; ++i) texts.push_back(SomeText(static_cast<uint64_t>(i)));
    for (int i = 0; i < kQueries; ++i) queries.push_back(SomeText(static_cast<uint64_t>(1000 + i)));
    queries[7] = queries[2];  // each line gets its row
    queries[4] = texts[11];   // a query that is in the corpus is a query like any other
    for (int i = 0; i < 40; ++i) queries[5] += " longer than the model's window";
    WriteJsonl(base_ / "corpus.jsonl", texts);
    WriteJsonl(base_ / "queries.jsonl", queries);
    std::vector<float> vectors;
    for (const std::string& query : queries) {
      const std::vector<float> vector = GridVector(query);
      vectors.insert(vectors.end(), vector.begin(), vector.end());
    }
    WriteNpy(base_ / "queries.npy", std::vector<int64_t>{kQueries, kDim}, vectors);
    for (const int partitions : {1, 2, 4}) Build("corpus" + std::to_string(partitions), partitions, -1);
  }
  static void TearDownTestSuite() { fs::remove_all(base_); }

  // bad_token >= 0 stands at the front of one sequence in ten.
  static void Build(const std::string& name, int partitions, int32_t bad_token, const std::string& index = "Flat",
                    const std::string& input = "corpus.jsonl",
                    std::vector<float> (*embed_one)(const std::string&) = GridVector) {
    const std::shared_ptr<Tokenizer> tokenizer = Tokenizer::Load(base_ / "model");
    index::BuildSettings settings;
    settings.inputs = {(base_ / input).string()};
    settings.index = index;
    settings.output = (base_ / name).string();
    settings.partitions = partitions;
    settings.threads = 1;
    settings.quiet = true;
    const index::EmbedFunction embed{[embed_one](std::span<const std::string_view> texts, std::span<float> out) {
                                       for (size_t i = 0; i < texts.size(); ++i) {
                                         std::ranges::copy(embed_one(std::string(texts[i])),
                                                           out.begin() + static_cast<int64_t>(i) * kDim);
                                       }
                                     },
                                     kDim, "grid"};
    const index::TokenizeFunction tokenize{[=](std::string_view text) {
                                             std::vector<int32_t> ids = tokenizer->Encode(text, false);
                                             if (bad_token >= 0 && Hash64(text) % 10 == 0)
                                               ids.insert(ids.begin(), bad_token);
                                             return ids;
                                           },
                                           tokenizer->digest()};
    index::BuildCorpus(settings, embed, tokenize);
  }

  static RunPlan Plan(const std::string& corpus, const std::string& output, const std::vector<std::string>& more = {}) {
    RunPlan plan;
    OptionTable table("hullft run", "");
    plan.settings.Bind(&table);
    table.Parse(Arguments(corpus, output, more));
    plan.settings.Finish();
    plan.options = IdentityOfOptions(table);
    plan.config = table.ConfigText();
    plan.version = "test";
    return plan;
  }

  static std::vector<std::string> Arguments(const std::string& corpus, const std::string& output,
                                            const std::vector<std::string>& more) {
    std::vector<std::string> words = {"--corpus",
                                      base_ / corpus,
                                      "--queries",
                                      base_ / "queries.jsonl",
                                      "--model",
                                      base_ / "model",
                                      "--query-embeddings",
                                      base_ / "queries.npy",
                                      "--output",
                                      base_ / output,
                                      "--quiet",
                                      "--n",
                                      "6",
                                      "--k",
                                      "12",
                                      "--margin",
                                      "2",
                                      "--max-length",
                                      "48",
                                      "--threads",
                                      "1",
                                      "--batch",
                                      "4"};
    for (size_t i = 0; i + 1 < more.size(); i += 2) {
      const auto place = std::find(words.begin(), words.end(), more[i]);
      if (place == words.end()) {
        words.insert(words.end(), {more[i], more[i + 1]});
      } else {
        *(place + 1) = more[i + 1];
      }
    }
    return words;
  }

  static RunOutcome RunOn(const std::vector<std::string>& hosts, const RunPlan& plan, std::string* table = nullptr,
                          const std::atomic<int>* stop = nullptr) {
    comm::InProcessWorld world(static_cast<int>(hosts.size()), hosts);
    std::vector<std::exception_ptr> errors(hosts.size());
    std::vector<std::thread> threads;
    RunOutcome outcome;
    const auto leave = [](const RunOutcome&) { ADD_FAILURE() << "no worker hangs here"; };
    for (size_t r = 0; r < hosts.size(); ++r) {
      threads.emplace_back([&, r] {
        try {
          RankContext context;
          context.stop = stop;
          context.print = [&](const std::string& text) {
            if (table != nullptr) *table = text;
          };
          const RunOutcome own = RunRank(world.rank(static_cast<int>(r)), plan, context, leave);
          if (r == 0) outcome = own;
        } catch (...) {
          errors[r] = std::current_exception();
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    if (errors[0]) std::rethrow_exception(errors[0]);
    for (const auto& error : errors) EXPECT_FALSE(error);
    return outcome;
  }

  static std::vector<Row> Rows(const std::string& output) { return ReadJournal(base_ / output / "results.jsonl").rows; }

  // What must be equal: all but times and who did it.
  static std::string Comparable(const std::string& output) {
    std::string text;
    for (Row row : LatestRows(Rows(output))) {
      row.ms = {};
      row.worker = -1;
      row.host = "";
      row.attempts = 1;
      row.key = "";  // holds the corpus' digest
      text += ToJsonLine(row) + "\n";
    }
    return text;
  }

  static inline fs::path base_;
};

}  // namespace hullft::coordinator
