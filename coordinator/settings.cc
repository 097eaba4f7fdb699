#include "coordinator/settings.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <sstream>
#include <vector>

#include "common/error.h"
#include "coordinator/adapter_flags.h"
#include "coordinator/query_encoder.h"

namespace hullft::coordinator {

std::vector<int> ParseScoreAt(const std::string& text, std::vector<std::string>* faults) {
  std::vector<int> numbers;
  std::istringstream words(text);
  for (std::string word; std::getline(words, word, ',');) {
    int value = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc() || end != word.data() + word.size() || value < 1) {
      faults->push_back(fmt::format("--score-at: '{}' is no number from 1", word));
    }
    numbers.push_back(value);
  }
  std::ranges::sort(numbers);
  numbers.erase(std::ranges::unique(numbers).begin(), numbers.end());
  return numbers;
}

namespace {

// What was trained on at each N must be what a run to N alone trains on.
std::vector<std::string> ScoreAtFaults(const RunSettings& settings) {
  std::vector<std::string> faults;
  if (settings.score_at.empty()) return faults;
  if (settings.method == "hullft") {
    faults.push_back(
        "--score-at: the method hullft's multiset for a smaller N is no prefix of a larger one's; run each --n");
  }
  if (settings.method == "sift" && settings.select.sift_grouping == select::SiftGrouping::kGlobal) {
    faults.push_back(
        "--score-at: --sift-grouping global moves later picks to the front, so a smaller N is no prefix of a larger "
        "one; use consecutive");
  }
  if (!settings.tune.score_at.empty() && settings.tune.score_at.back() > settings.select.n) {
    faults.push_back(fmt::format("--score-at {} is more than --n {}: give --n {}", settings.tune.score_at.back(),
                                 settings.select.n, settings.tune.score_at.back()));
  }
  if (settings.tune.dropout > 0) {
    faults.push_back("--score-at: with dropout the random draws of a run depend on its length; leave --dropout 0");
  }
  return faults;
}

}  // namespace

void RunSettings::Bind(OptionTable* table) {
  table->Group("Input and output");
  table->Add("corpus", &corpus, "folder made by hullft index build").Required().NotPartOfResult();
  table->Add("queries", &queries, "JSONL of documents: {\"text\", \"meta\": {\"pile_set_name\"}}")
      .Required()
      .NotPartOfResult();
  table->Add("model", &model, "language model to finetune: a Hugging Face folder").Required().NotPartOfResult();
  table->Add("encoder", &encoder, "encoder the corpus was built with: a Hugging Face folder").NotPartOfResult();
  table->Add("prompt", &prompt, kQueryPromptHelp).NotPartOfResult();  // MakeIdentity knows better
  table->Add("query-embeddings", &query_embeddings, ".npy with a row per query, instead of --encoder")
      .NotPartOfResult();
  table->Add("output", &output, "run folder; a run that was stopped goes on where it was").Required().NotPartOfResult();
  table->Add("score-cache", &score_cache, "file of untuned scores that runs share; made when it is not there")
      .NotPartOfResult();
  table
      ->Add("stage", &stage,
            "folder on each node's own disk: partitions are copied there once, verified, and read there")
      .NotPartOfResult();
  table->Add("allow-partial", &allow_partial,
             "go on without partitions that are missing or damaged; every row then says its coverage");
  table->Add("max-rejects", &max_rejects, "bad queries that are put into rejects.jsonl before the run ends")
      .Range(0, 1e9)
      .NotPartOfResult();
  table->Add("limit", &limit, "run only the first so many queries; 0: all").Range(0, 1e15).NotPartOfResult();

  table->Group("Selection");
  table
      ->Add("pool", &pool,
            "what hullft chooses from: knn (the K nearest), global (the whole corpus), both (to compare)")
      .OneOf({"knn", "global", "both"});
  table->Add("k", &k, "K, nearest sequences to choose from").Range(1, 1e6);
  table->Add("margin", &margin, "candidates beyond K that are re-scored exactly").Range(0, 1e6);
  table
      ->Add("search-effort", &search_effort,
            "nprobe of an IVF, efSearch of HNSW; 0: what the measurement of the build chose; means nothing for Flat")
      .Range(0, 1e6);
  BindSelection(table);
  table
      ->Add(
          "guard", &guard,
          "candidates that share a long run with their query: off (as in the paper), mark (the rows count them), drop "
          "(others take their place in the pool)")
      .OneOf({"off", "mark", "drop"});
  table
      ->Add("leak-threshold", &leak_threshold,
            "share of 13-grams of tokens, of the query or the candidate, above which the guard acts")
      .Range(0, 1);

  table->Group("Finetuning");
  table->Add("lr", &tune.learning_rate, "learning rate of Adam").Range(0, 1);
  table->Add("refresh", &refresh, "r: a sequence's gradient is computed anew every r-th of its steps; inf: once");
  table->Add("score-at", &score_at,
             "numbers up to --n, e.g. 1,5,10: score also when so many are trained on (not for the method hullft)");
  table->Add("max-length", &tune.max_length, "tokens of a training sequence and of a scoring window").Range(2, 1e7);
  table->Add("dropout", &tune.dropout, "while finetuning").Range(0, 0.999);
  table
      ->Add("prefix-token", &tune.prefix_token,
            "first token of the first scoring window; -1: the model's bos, else eos")
      .Range(-1, 2e9);
  table
      ->Add("precision", &precision, "of matrix products; tf32: GPUs; bf16: bfloat16 factors, float32 sums and weights")
      .OneOf({"float32", "tf32", "bf16"});
  BindAdapter(table, &adapter);

  table->Group("Work");
  table->Add("check-weights", &check_weights, "hash the base weights before every query (to find bad memory)")
      .NotPartOfResult();
  table
      ->Add("paranoid", &paranoid,
            "trust no memory: --check-weights, and every vector is compared with its checksum whenever it is read")
      .NotPartOfResult();
  table->Add("workers", &workers, "worker ranks of one process, each with its own model; 0: one")
      .Range(0, 1024)
      .NotPartOfResult();
  table
      ->Add("queries-per-worker", &queries_per_worker,
            "finetuned at a time by one worker, side by side over one copy of the base weights; its threads are split")
      .Range(1, 1024)
      .NotPartOfResult();
  table->Add("device", &device, "of the workers: auto (a host's GPUs in turn, else the CPU), cpu, cuda or cuda:N");
  BindCudaGraphs(table, &cuda_graphs);
  table->Add("threads", &threads, "of this process, shared out among its workers; 0: every core it may use")
      .Range(0, 4096)
      .NotPartOfResult();
  table->Add("batch", &batch, "queries of one round over the shards").Range(1, 65536).NotPartOfResult();
  table->Add("retries", &retries, "further attempts of a query whose finetuning fails").Range(0, 100).NotPartOfResult();
  table
      ->Add("start-timeout", &start_timeout,
            "for every rank to copy and open its partitions and to load its models; then the job ends, naming the rank")
      .Unit("s")
      .Range(0.001, 1e9)
      .NotPartOfResult();
  table->Add("task-timeout", &task_timeout, "until the first task's time is known")
      .Unit("s")
      .Range(0.001, 1e9)
      .NotPartOfResult();
  table->Add("grace", &grace, "for running queries to finish after INT, TERM or USR1")
      .Unit("s")
      .Range(0, 1e6)
      .NotPartOfResult();
  table
      ->Add("layout", &layout,
            "roles of the ranks, e.g. 'shards=0,4 workers=1-3,5-7'; without it every host's first rank is a shard and "
            "the others are workers")
      .NotPartOfResult();
  table
      ->Add("block-cache", &block_cache_mb,
            "memory of a shard for texts and tokens of its stores that were read lately; vectors are mapped besides")
      .Unit("MB")
      .Range(1, 1e7)
      .NotPartOfResult();
  table
      ->Add("disk-reserve", &disk_reserve,
            "free space on the output's disk below which the run waits until there is more; 0: never")
      .Unit("MB")
      .Range(0, 1e9)
      .NotPartOfResult();
  table->Add("http", &http, "port of a page about the run on rank 0, read-only; 0: any free one; -1: none")
      .Range(-1, 65535)
      .NotPartOfResult();
  table->Add("http-address", &http_address, "that the page listens on; there is no password: only this host by default")
      .NotPartOfResult();
  table->Add("grid", &grid_file, "file of settings that share this run, as hullft sweep writes it").NotPartOfResult();
  table->Add("quiet", &quiet, "no progress display").NotPartOfResult();
}

std::vector<RunSetting> RunSettings::Grid() const {
  if (!grid.empty()) return grid;
  return {{"", method, select, tune, {}}};
}

void RunSettings::Finish() {
  std::vector<std::string> faults;
  if (refresh == "inf") {
    tune.refresh = 0;
  } else {
    int value = 0;
    const auto [end, error] = std::from_chars(refresh.data(), refresh.data() + refresh.size(), value);
    if (error != std::errc() || end != refresh.data() + refresh.size() || value < 1) {
      faults.push_back(fmt::format("--refresh: '{}' is neither a number from 1 nor inf", refresh));
    }
    tune.refresh = value;
  }
  const std::string selection_faults = FinishSelection();
  tune.score_at = ParseScoreAt(score_at, &faults);
  for (const std::string& fault : ScoreAtFaults(*this)) faults.push_back(fault);
  for (const std::string& fault : {selection_faults, tune.Validate(), adapter.Validate()}) {
    if (!fault.empty()) faults.push_back(fault);
  }
  if (pool != "knn" && method != "hullft") {
    faults.push_back(fmt::format("--pool {}: the method {} chooses from the K nearest only", pool, method));
  }
  if (pool != "knn" && select.variant != select::Variant::kReference) {
    faults.push_back(fmt::format(
        "--pool {}: --fw-variant {} chooses from the K nearest only; use --fw-variant reference or --pool knn", pool,
        fw_variant));
  }
  if (pool != "knn" && guard != "off") {
    faults.push_back(
        fmt::format("--guard {}: it looks at the K nearest; --pool {} chooses from the whole corpus", guard, pool));
  }
  if (select::TakesEachOnce(select.method) && select.n > k) {
    faults.push_back(
        fmt::format("--n {} is more than --k {}: {} takes each sequence at most once", select.n, k, method));
  }
  if (cuda_graphs && tune.dropout > 0) faults.push_back("--cuda-graphs: not with dropout; leave --dropout 0");
  if (queries_per_worker > 1 && tune.dropout > 0) {
    faults.push_back("--queries-per-worker: dropout draws from one generator a process; leave --dropout 0");
  }
  if (encoder.empty() && query_embeddings.empty()) faults.push_back("missing --encoder (or --query-embeddings)");
  if (!encoder.empty() && !query_embeddings.empty())
    faults.push_back("--encoder and --query-embeddings exclude each other");
  if (!prompt.empty() && encoder.empty()) faults.push_back("--prompt is the encoder's: it needs --encoder");
  if (!faults.empty()) {
    throw Error(Code::kUsage, fmt::format("hullft run: {}", fmt::join(faults, "\n  ")),
                "hullft run --help lists the options");
  }
}

Identity IdentityOfOptions(const OptionTable& table) {
  Identity identity;
  std::istringstream lines(table.Fingerprint());
  for (std::string line; std::getline(lines, line);) {
    const size_t equals = line.find('=');
    identity["--" + line.substr(0, equals)] = line.substr(equals + 1);
  }
  return identity;
}

std::string IdentityText(const Identity& identity) {
  std::string text;
  for (const auto& [name, value] : identity) text += fmt::format("{}={}\n", name, value);
  return text;
}

}  // namespace hullft::coordinator
