// `hullft tune`: finetune on the sequences of one file, score the documents of another before and after.
#include <fmt/ranges.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "common/error.h"
#include "common/json_read.h"
#include "common/options.h"
#include "common/tokenizer/tokenizer.h"
#include "coordinator/adapter_flags.h"
#include "coordinator/commands/commands.h"
#include "coordinator/settings.h"
#include "worker/device.h"
#include "worker/memory_plan.h"
#include "worker/tuner.h"

namespace hullft::coordinator {
namespace {

using nlohmann::json;

struct Row {
  std::string where;  // "train.jsonl:3"
  json fields;
  bool is_text() const { return fields.contains("text"); }
};

std::string Text(const Row& row) {
  const json& text = row.fields["text"];
  if (!text.is_string() || text.get_ref<const std::string&>().empty()) {
    throw DataError("{}: \"text\" must be a string that is not empty", row.where);
  }
  return text.get<std::string>();
}

// The rows of a JSONL file: objects with exactly one of "text" (not empty) and "tokens", and only the fields allowed.
std::vector<Row> ReadRows(const std::string& path, bool with_count) {
  std::ifstream file(path);
  if (!file || std::filesystem::is_directory(path)) throw IoError("read", path);
  std::vector<Row> rows;
  std::string line;
  for (int64_t number = 1; std::getline(file, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    Row row{fmt::format("{}:{}", path, number), {}};
    row.fields = ParseJson(line, row.where);
    if (!row.fields.is_object()) throw DataError("{}: not a JSON object", row.where);
    if (row.fields.contains("text") == row.fields.contains("tokens")) {
      throw DataError("{}: needs either \"text\" or \"tokens\"", row.where);
    }
    if (row.is_text()) Text(row);
    for (const auto& [key, value] : row.fields.items()) {
      if (key != "text" && key != "tokens" && key != "meta" && !(with_count && key == "count")) {
        throw DataError("{}: unknown field \"{}\"", row.where, key);
      }
    }
    rows.push_back(std::move(row));
  }
  if (file.bad()) throw IoError("read", path);
  return rows;
}

// Texts are tokenised without special tokens: what the reference gets from these models' tokenizers, and what the
// rolling score expects (the prefix token is put in front there).
std::vector<int32_t> Tokens(const Row& row, const Tokenizer* tokenizer) {
  if (row.is_text()) return tokenizer->Encode(Text(row), /*add_special=*/false);
  const json& ids = row.fields["tokens"];
  if (!ids.is_array() || ids.empty())
    throw DataError("{}: \"tokens\" must be a list of ids that is not empty", row.where);
  std::vector<int32_t> tokens;
  for (const json& id : ids) {
    if (!id.is_number_integer() || id < 0 || id > std::numeric_limits<int32_t>::max()) {
      throw DataError("{}: {} in \"tokens\" is not a token id", row.where, id.dump());
    }
    tokens.push_back(id.get<int32_t>());
  }
  return tokens;
}

int Count(const Row& row) {
  if (!row.fields.contains("count")) return 1;
  const json& count = row.fields["count"];
  if (!count.is_number_integer() || count < 1 || count > 1'000'000) {
    throw DataError("{}: \"count\" must be an integer from 1 to 1000000", row.where);
  }
  return count.get<int>();
}

int RefreshInterval(const std::string& text) {
  if (text == "inf") return 0;
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1) {
    throw UsageError("--refresh: '{}' is neither an integer from 1 nor 'inf'", text);
  }
  return value;
}

template <class T>
json Maybe(const std::optional<T>& value) {
  return value ? json(*value) : json(nullptr);
}

json ScoreJson(const worker::Score& score) {
  return {{"log_likelihood", score.log_likelihood},
          {"tokens", score.tokens},
          {"bytes", Maybe(score.bytes)},
          {"bpb", Maybe(score.bpb)},
          {"log_likelihood_first_window", score.log_likelihood_first_window},
          {"bpb_first_window", Maybe(score.bpb_first_window)},
          {"windows", score.windows}};
}

json MarksJson(const worker::TuneResult& result) {
  json marks = json::array();
  for (const worker::Mark& mark : result.marks) {
    json scores = json::array();
    for (const worker::Score& score : mark.scores) scores.push_back(ScoreJson(score));
    marks.push_back({{"n", mark.n},
                     {"steps", mark.steps},
                     {"gradients", mark.gradients},
                     {"tune_ms", mark.tune_ms},
                     {"scores", scores}});
  }
  return marks;
}

json ResultJson(const worker::TuneResult& result) {
  json steps = json::array(), eval = json::array();
  for (const worker::StepRecord& step : result.steps) {
    steps.push_back({{"sequence", step.sequence},
                     {"computed", step.computed},
                     {"loss", Maybe(step.loss)},
                     {"grad_norm", step.grad_norm}});
  }
  for (size_t i = 0; i < result.before.size(); ++i) {
    eval.push_back({{"before", ScoreJson(result.before[i])}, {"after", ScoreJson(result.after[i])}});
  }
  return {
      {"steps", steps},
      {"eval", eval},
      {"marks", MarksJson(result)},
      {"gradients_computed", result.gradients_computed},
      {"sequences_skipped", result.sequences_skipped},
      {"tokens_trained", result.tokens_trained},
      {"milliseconds",
       {{"score_before", result.score_before_ms}, {"tune", result.tune_ms}, {"score_after", result.score_after_ms}}}};
}

// Before anything is loaded.
void CheckFreeMemory(const worker::TunerOptions& options, int max_length) {
  const c10::Device device = worker::ParseDevice(options.device);
  worker::CheckMemory(worker::PlanMemory(worker::ReadModelShape(options.model_dir), max_length, 1, 1, options.adapter,
                                         options.cuda_graphs),
                      worker::FreeMemory(device), device.is_cpu() ? "this machine" : device.str());
}

std::string Number(const std::optional<double>& value) {
  return value ? fmt::format("{:.4f}", *value) : "-";
}

void PrintTable(const worker::TuneResult& result) {
  fmt::print("{:>5} {:>9} {:>9} {:>10} {:>10}\n", "step", "sequence", "gradient", "loss", "grad norm");
  for (size_t i = 0; i < result.steps.size(); ++i) {
    const worker::StepRecord& step = result.steps[i];
    fmt::print("{:>5} {:>9} {:>9} {:>10} {:>10.4f}\n", i + 1, step.sequence, step.computed ? "computed" : "reused",
               Number(step.loss), step.grad_norm);
  }
  fmt::print("\n{:>8} {:>8} {:>8} {:>12} {:>12} {:>9} {:>9} {:>7}\n", "document", "tokens", "bytes", "nats before",
             "nats after", "BPB bef.", "BPB after", "%");
  for (size_t i = 0; i < result.before.size(); ++i) {
    const worker::Score &before = result.before[i], &after = result.after[i];
    fmt::print("{:>8} {:>8} {:>8} {:>12.2f} {:>12.2f} {:>9} {:>9} {:>7.2f}\n", i, before.tokens,
               before.bytes ? std::to_string(*before.bytes) : "-", before.log_likelihood, after.log_likelihood,
               Number(before.bpb), Number(after.bpb), 100 * after.log_likelihood / before.log_likelihood);
  }
  for (const worker::Mark& mark : result.marks) {
    std::vector<std::string> bpb;
    for (const worker::Score& score : mark.scores) bpb.push_back(Number(score.bpb));
    fmt::print("after {} of the multiset: BPB {}\n", mark.n, fmt::join(bpb, ", "));
  }
  fmt::print("\n{} gradients for {} steps; scored in {:.0f} + {:.0f} ms, tuned in {:.0f} ms\n",
             result.gradients_computed, result.steps.size(), result.score_before_ms, result.score_after_ms,
             result.tune_ms);
}

}  // namespace

int TuneCommand(const Arguments& args) {
  worker::TunerOptions options;
  worker::TuneSettings settings;
  std::string train_path, eval_path, refresh = "2", score_at;
  bool as_json = false;
  OptionTable table(
      "hullft tune",
      "Finetunes a language model on sequences, reusing gradients for repeated ones, and scores documents "
      "before and after. Rows of both files are {\"text\": ...} or {\"tokens\": [...]}; those of --train may "
      "have a \"count\". Texts are tokenised without special tokens.");
  table.Add("model", &options.model_dir, "Hugging Face folder of a language model").Required();
  table.Add("train", &train_path, "JSONL of sequences to finetune on, in order; none: only score");
  table.Add("eval", &eval_path, "JSONL of documents to score").Required();
  table.Add("lr", &settings.learning_rate, "learning rate of Adam").Range(0, 1);
  table.Add("refresh", &refresh, "steps of a repeated sequence that share a gradient, or inf");
  table.Add("score-at", &score_at, "numbers, e.g. 1,5,10: score also when so many (repeats counted) are trained on");
  table.Add("max-length", &settings.max_length, "length of training sequences and scoring windows").Unit("tokens");
  table.Add("dropout", &settings.dropout, "while finetuning (the authors' GPT-2 runs: 0.1)").Range(0, 0.99);
  table.Add("prefix-token", &settings.prefix_token, "id before the first scored token; -1: the model's bos, else eos");
  table.Add("threads", &options.threads, "0: all cores this process may use").Range(0, 4096);
  table.Add("device", &options.device, "where to compute");
  BindCudaGraphs(&table, &options.cuda_graphs);
  table.Add("precision", &options.precision, "of matrix products; tf32: GPUs; bf16: bfloat16 factors, float32 sums")
      .OneOf({"float32", "tf32", "bf16"});
  BindAdapter(&table, &options.adapter);
  table.Add("json", &as_json, "print one JSON object").NotPartOfResult();
  table.Example("hullft tune --model MODEL --train chosen.jsonl --eval test.jsonl");
  if (table.Parse(args)) return 0;
  settings.refresh = RefreshInterval(refresh);
  std::vector<std::string> faults;
  settings.score_at = ParseScoreAt(score_at, &faults);
  for (const std::string& fault : {settings.Validate(), options.adapter.Validate()}) {
    if (!fault.empty()) faults.push_back(fault);
  }
  if (!faults.empty()) throw UsageError("hullft tune: {}", fmt::join(faults, "; "));
  CheckFreeMemory(options, settings.max_length);

  const std::vector<Row> train_rows = train_path.empty() ? std::vector<Row>() : ReadRows(train_path, true);
  const std::vector<Row> eval_rows = ReadRows(eval_path, false);
  std::unique_ptr<Tokenizer> tokenizer;
  for (const std::vector<Row>* rows : {&train_rows, &eval_rows}) {
    for (const Row& row : *rows) {
      if (row.is_text() && tokenizer == nullptr) tokenizer = Tokenizer::Load(options.model_dir);
    }
  }
  std::vector<worker::TrainSequence> train;
  for (const Row& row : train_rows) train.push_back({Tokens(row, tokenizer.get()), Count(row)});
  std::vector<worker::EvalDocument> eval;
  for (const Row& row : eval_rows) {
    std::optional<int64_t> bytes;
    if (row.is_text()) bytes = static_cast<int64_t>(Text(row).size());
    eval.push_back({Tokens(row, tokenizer.get()), bytes});
  }
  const worker::TuneResult result = worker::Tuner::Load(options)->Run(settings, train, eval, /*grad_norms=*/true);
  if (as_json) {
    fmt::print("{}\n", ResultJson(result).dump());
  } else {
    PrintTable(result);
  }
  return 0;
}

}  // namespace hullft::coordinator
