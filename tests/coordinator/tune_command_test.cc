// `hullft tune` as a user calls it: its JSON, and one clear message for each kind of bad row.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "common/error.h"
#include "common/files.h"
#include "coordinator/commands/commands.h"
#include "tests/caught.h"
#include "tests/worker/golden_tensor.h"

namespace hullft::coordinator {
namespace {

using nlohmann::json;

const std::string kModel = std::string(HULLFT_GOLDENS) + "/finetune/llama_gqa_tied";

std::string Write(const std::string& name, const std::string& content) {
  const std::string path = ::testing::TempDir() + "/" + name;
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

Arguments Call(const std::string& train, const std::string& eval, Arguments more = {}) {
  Arguments args = {"--model", kModel, "--eval", Write("eval.jsonl", eval), "--max-length", "64", "--threads", "1"};
  if (!train.empty()) args.insert(args.end(), {"--train", Write("train.jsonl", train)});
  args.insert(args.end(), more.begin(), more.end());
  return args;
}

void ExpectTuneFault(const Arguments& args, Code code, const std::string& part) {
  ExpectFault(code, part, [&] { TuneCommand(args); });
}

json Output(Arguments args) {
  args.emplace_back("--json");
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(TuneCommand(args), 0);
  return json::parse(::testing::internal::GetCapturedStdout());
}

const std::string kEval = R"({"tokens": [5, 6, 7, 8, 9, 10]})";

TEST(TuneCommand, PrintsStepsAndScores) {
  const json result = Output(Call("{\"tokens\": [1, 2, 3, 4], \"count\": 3}\n\n{\"tokens\": [9, 8]}\n", kEval));
  ASSERT_EQ(result.at("steps").size(), 4U);
  EXPECT_EQ(result.at("steps").at(1).at("computed"), false);  // --refresh 2
  EXPECT_TRUE(result.at("steps").at(1).at("loss").is_null());
  EXPECT_EQ(result.at("steps").at(2).at("computed"), true);
  EXPECT_GT(result.at("steps").at(2).at("loss").get<double>(), 0);
  EXPECT_GT(result.at("steps").at(0).at("grad_norm").get<double>(), 0);
  EXPECT_EQ(result.at("steps").at(3).at("sequence"), 1);
  const json& eval = result.at("eval").at(0);
  EXPECT_EQ(eval.at("before").at("tokens"), 6);
  EXPECT_TRUE(eval.at("before").at("bytes").is_null());
  EXPECT_TRUE(eval.at("before").at("bpb").is_null());
  EXPECT_LT(eval.at("before").at("log_likelihood").get<double>(), 0);
  EXPECT_NE(eval.at("before").at("log_likelihood"), eval.at("after").at("log_likelihood"));
}

TEST(TuneCommand, ScoresOnTheWayAndAdapters) {
  const std::string train = "{\"tokens\": [1, 2, 3, 4], \"count\": 3}\n";
  const json full = Output(Call(train, kEval, {"--score-at", "3,1"}));
  ASSERT_EQ(full.at("marks").size(), 2U);
  EXPECT_EQ(full.at("marks").at(0).at("n"), 1);
  EXPECT_EQ(full.at("marks").at(1).at("scores").at(0), full.at("eval").at(0).at("after"));
  const json adapted = Output(Call(train, kEval, {"--adapter", "lora", "--rank", "2", "--target", "o,gate"}));
  EXPECT_EQ(adapted.at("eval").at(0).at("before"), full.at("eval").at(0).at("before"));
  EXPECT_NE(adapted.at("eval").at(0).at("after"), full.at("eval").at(0).at("after"));
  EXPECT_NE(adapted.at("eval").at(0).at("after"), adapted.at("eval").at(0).at("before"));
}

// Loss and score of a sequence as transformers computed them (tests/goldens/models), and it is learned: every kind of
// model through the command.
TEST(TuneCommand, EveryFamilyGivesTheReferencesNumbersAndLearns) {
  for (const auto& folder : std::filesystem::directory_iterator(HULLFT_GOLDENS "/models")) {
    SCOPED_TRACE(folder.path().filename());
    const worker::SafetensorsFile golden(folder.path() / "golden.safetensors");
    const at::Tensor ids = worker::Golden(golden, "input_ids")[0];
    const auto first = ids.const_data_ptr<int64_t>();
    const json tokens = std::vector<int64_t>(first, first + ids.numel());
    const json numbers = json::parse(ReadFile(folder.path() / "golden.json"));
    const double log_likelihood = numbers.at("logprob_sums").at(0), loss = -log_likelihood / (ids.numel() - 1.0);
    const json result = Output({"--model", folder.path(), "--threads", "1", "--max-length", "64", "--lr", "0.01",
                                "--prefix-token", "0", "--eval", Write("eval.jsonl", json{{"tokens", tokens}}.dump()),
                                "--train", Write("train.jsonl", json{{"tokens", tokens}, {"count", 4}}.dump())});
    EXPECT_NEAR(result.at("steps").at(0).at("loss").get<double>(), loss, 1e-5 * loss);
    const json &before = result.at("eval").at(0).at("before"), &after = result.at("eval").at(0).at("after");
    EXPECT_NEAR(before.at("log_likelihood_first_window").get<double>(), log_likelihood, -1e-5 * log_likelihood);
    EXPECT_GT(after.at("log_likelihood").get<double>(), before.at("log_likelihood").get<double>());
  }
}

TEST(TuneCommand, RefreshInfinityAndNoTraining) {
  const json reused = Output(Call(R"({"tokens": [1, 2, 3], "count": 5})", kEval, {"--refresh", "inf"}));
  EXPECT_EQ(reused.at("gradients_computed"), 1);
  const json scored = Output(Call("", kEval));
  EXPECT_EQ(scored.at("eval").at(0).at("before"), scored.at("eval").at(0).at("after"));
}

TEST(TuneCommand, BadRowsNameFileAndLine) {
  const std::string good = "{\"tokens\": [1, 2]}\n";
  ExpectTuneFault(Call(good + "{broken\n", kEval), Code::kData, "train.jsonl:2: not JSON");
  ExpectTuneFault(Call(good + "[1]\n", kEval), Code::kData, "train.jsonl:2: not a JSON object");
  ExpectTuneFault(Call(good + "{\"count\": 2}\n", kEval), Code::kData, "train.jsonl:2: needs either");
  ExpectTuneFault(Call(R"({"tokens": [1], "text": "a"})", kEval), Code::kData, "train.jsonl:1: needs either");
  ExpectTuneFault(Call(R"({"tokens": [1.5]})", kEval), Code::kData, "train.jsonl:1: 1.5 in \"tokens\"");
  ExpectTuneFault(Call(R"({"tokens": []})", kEval), Code::kData, "train.jsonl:1: \"tokens\"");
  ExpectTuneFault(Call(R"({"tokens": [1], "count": 0})", kEval), Code::kData, "train.jsonl:1: \"count\"");
  ExpectTuneFault(Call(good, R"({"tokens": [1], "count": 2})"), Code::kData, "eval.jsonl:1: unknown field \"count\"");
  ExpectTuneFault(Call(R"({"text": ""})", kEval), Code::kData, "train.jsonl:1: \"text\" must be");
  ExpectTuneFault(Call("{\"text\": \"\xff\"}", kEval), Code::kData, "train.jsonl:1: not JSON");
  ExpectTuneFault(Call(R"({"text": "\ud800"})", kEval), Code::kData, "train.jsonl:1: not JSON");
}

TEST(TuneCommand, BadSettings) {
  ExpectTuneFault(Call("", kEval, {"--refresh", "0"}), Code::kUsage, "--refresh: '0'");
  ExpectTuneFault(Call("", kEval, {"--score-at", "1,x"}), Code::kUsage, "--score-at: 'x'");
  ExpectTuneFault(Call("", kEval, {"--adapter", "lora", "--target", "query"}), Code::kUsage, "no target 'query'");
  ExpectTuneFault(Call("", kEval, {"--refresh", "often"}), Code::kUsage, "'often'");
  ExpectTuneFault({"--model", kModel, "--eval", Write("eval.jsonl", kEval), "--max-length", "4096"}, Code::kUsage,
                  "limit of 128");
  ExpectTuneFault(Call("", kEval, {"--device", "cuda:0"}), Code::kUsage, "cuda:0");
  ExpectTuneFault({"--model", kModel, "--eval", "/nonexistent.jsonl"}, Code::kIo, "/nonexistent.jsonl");
}

// From config.json alone, before any weight is read.
TEST(TuneCommand, WhatCannotFitIsRefusedWithTheArithmetic) {
  const std::string folder = ::testing::TempDir() + "/huge";
  std::filesystem::create_directories(folder);
  std::ofstream(folder + "/config.json") << json{{"model_type", "gpt2"}, {"n_embd", 65536},     {"n_head", 64},
                                                 {"n_layer", 1000},      {"vocab_size", 50257}, {"n_positions", 1024}};
  ExpectTuneFault({"--model", folder, "--eval", Write("eval.jsonl", kEval)}, Code::kMemory,
                  "base weights 206175.28 GB + 1 worker x 1 query");
}

}  // namespace
}  // namespace hullft::coordinator
