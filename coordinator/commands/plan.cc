// hullft plan: what a planned cluster needs, before asking for its nodes: memory, disk, network and time per query,
// from rates measured with `hullft bench` (the defaults are docs/performance.md's) and the counts that the design
// gives.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "common/options.h"
#include "common/progress.h"
#include "coordinator/commands/commands.h"
#include "worker/memory_plan.h"

namespace hullft::coordinator {
namespace {

struct PlanSettings {
  // The corpus.
  double corpus_sequences = 210e6;
  int dim = 1024;
  double sequence_bytes = 4000;  // UTF-8 text of one sequence
  double sequence_tokens = 1000;
  // The cluster.
  int nodes = 32;
  int workers_per_node = 4;
  double worker_gflops = 60;      // float32, one CPU core (docs/performance.md); an H100 in TF32 is about 200,000
  double worker_memory_gbs = 12;  // memory bandwidth of one worker, GB/s
  double shard_gflops = 120;      // float32 matrix products of one shard's cores
  double shard_memory_gbs = 24;
  double network_gbs = 1.25;       // per node, GB/s (10 Gbit/s)
  double network_latency_us = 30;  // one message
  // The run.
  double queries = 10000;
  double query_tokens = 1000;
  int batch = 64;
  int k = 200, margin = 32, n = 20;
  int refresh = 2;
  double distinct = 15;  // sequences with a count above 0 in one multiset, measured about 0.7 N
  int max_length = 1024;
  int queries_per_worker = 1;
  std::string model;  // folder; "": the next two
  int64_t vocabulary = 50257;
  double model_parameters = 124e6;
  std::string pool = "knn";
  int iterations = 120;  // Frank-Wolfe updates of one query in global mode
  bool json = false;
};

struct Plan {
  double vectors_bytes_per_node, disk_bytes_per_node, corpus_disk_bytes;
  worker::MemoryPlan memory;  // of a node
  double network_bytes_per_query, search_seconds, selection_network_seconds, tune_seconds, score_seconds;
  double shard_queries_per_second, worker_queries_per_second, queries_per_second, total_seconds;
};

Plan Compute(const PlanSettings& s) {
  Plan p{};
  const double per_node = s.corpus_sequences / s.nodes;
  p.vectors_bytes_per_node = per_node * s.dim * 4;
  // FAISS file and the store's embeddings; text compresses to about half in RocksDB; int32 tokens to about half.
  const double per_sequence = s.dim * 8.0 + s.sequence_bytes / 2 + s.sequence_tokens * 2;
  p.corpus_disk_bytes = s.corpus_sequences * per_sequence;
  p.disk_bytes_per_node = p.corpus_disk_bytes / s.nodes;
  worker::ModelShape shape{static_cast<int64_t>(s.model_parameters), s.vocabulary, 0};
  if (!s.model.empty()) shape = worker::ReadModelShape(s.model);
  // What GPT-2 (124M) keeps of a token for its parameters; larger models keep less for each.
  if (s.model.empty()) shape.kept_floats = static_cast<int64_t>(s.model_parameters * 1.25 / 1024);
  p.memory = worker::PlanMemory(shape, s.max_length, s.workers_per_node, s.queries_per_worker);
  // docs/performance.md: S (K + margin) 16 + (K + margin) 4 d + tokens.
  const double candidates = s.k + s.margin;
  const double tokens_bytes = s.distinct * std::min<double>(s.sequence_tokens, s.max_length) * 4;
  p.network_bytes_per_query = s.nodes * candidates * 16 + candidates * 4 * s.dim + tokens_bytes;
  // One product of [per_node, d] with [d, B]: bound by arithmetic or by reading the vectors once.
  const double one_pass = std::max(2.0 * per_node * s.dim * s.batch / (s.shard_gflops * 1e9),
                                   per_node * s.dim * 4 / (s.shard_memory_gbs * 1e9));
  const double hops = std::ceil(std::log2(std::max(2, s.nodes)));
  const double passes = s.pool == "global" ? s.iterations : 1;
  p.search_seconds = passes * one_pass / s.batch;
  const double reduce =
      2 * hops * s.network_latency_us * 1e-6 + s.batch * (16 + s.dim * 4.0) * hops / (s.network_gbs * 1e9);
  p.selection_network_seconds =
      (s.pool == "global" ? s.iterations * reduce : 4 * s.network_latency_us * 1e-6) / s.batch +
      p.network_bytes_per_query / (s.network_gbs * 1e9) / s.nodes;
  // Gradients: one per ceil(J / r); a gradient is 6 flops a parameter and token, a score 2, twice; Adam moves 28 bytes
  // a parameter for a run of reused steps.
  const double mean_count = s.n / s.distinct;
  const double gradients = s.distinct * std::ceil(mean_count / s.refresh);
  const double tokens = std::min<double>(s.sequence_tokens, s.max_length);
  p.tune_seconds = gradients * (6 * s.model_parameters * tokens / (s.worker_gflops * 1e9) +
                                28 * s.model_parameters / (s.worker_memory_gbs * 1e9));
  p.score_seconds = 2 * 2 * s.model_parameters * s.query_tokens / (s.worker_gflops * 1e9);
  p.shard_queries_per_second = 1 / (p.search_seconds + p.selection_network_seconds);
  p.worker_queries_per_second = s.nodes * s.workers_per_node / (p.tune_seconds + p.score_seconds);
  p.queries_per_second = std::min(p.shard_queries_per_second, p.worker_queries_per_second);
  p.total_seconds = s.queries / p.queries_per_second;
  return p;
}

void Print(const PlanSettings& s, const Plan& p) {
  const auto line = [](const char* what, const std::string& value) { std::printf("  %-44s%s\n", what, value.c_str()); };
  std::printf("%d nodes, each one shard of %.3g sequences and %d workers\n\n", s.nodes, s.corpus_sequences / s.nodes,
              s.workers_per_node);
  std::printf("each node\n");
  line("memory for vectors (flat index)", FormatBytes(p.vectors_bytes_per_node));
  line("memory for workers", FormatBytes(static_cast<double>(p.memory.Total())));
  std::printf("    %s\n", p.memory.Arithmetic().c_str());
  line("disk (its share of the corpus)", FormatBytes(p.disk_bytes_per_node));
  std::printf("each query\n");
  line(s.pool == "global" ? "Frank-Wolfe over the whole corpus" : "search",
       FormatDuration(p.search_seconds) + " of every shard");
  line("network", FormatBytes(p.network_bytes_per_query) + ", " + FormatDuration(p.selection_network_seconds));
  line("finetuning", FormatDuration(p.tune_seconds) + " of one worker");
  line("scoring before and after", FormatDuration(p.score_seconds) + " of one worker");
  std::printf("the run\n");
  line("shards can feed", fmt::format("{:.3g} queries/s", p.shard_queries_per_second));
  line("workers can finetune", fmt::format("{:.3g} queries/s", p.worker_queries_per_second));
  line("bound by", p.shard_queries_per_second < p.worker_queries_per_second ? "the shards" : "the workers");
  line(fmt::format("{:.6g} queries", s.queries).c_str(), FormatDuration(p.total_seconds));
  std::printf("\nCorpus on disk: %s. Arithmetic from the given rates, no measurement of the planned machines.\n",
              FormatBytes(p.corpus_disk_bytes).c_str());
}

void PrintJson(const PlanSettings& s, const Plan& p) {
  const nlohmann::ordered_json json = {{"vectors_bytes_per_node", p.vectors_bytes_per_node},
                                       {"worker_memory_bytes", p.memory.Total() / s.workers_per_node},
                                       {"disk_bytes_per_node", p.disk_bytes_per_node},
                                       {"corpus_disk_bytes", p.corpus_disk_bytes},
                                       {"network_bytes_per_query", p.network_bytes_per_query},
                                       {"search_seconds", p.search_seconds},
                                       {"selection_network_seconds", p.selection_network_seconds},
                                       {"tune_seconds", p.tune_seconds},
                                       {"score_seconds", p.score_seconds},
                                       {"shard_queries_per_second", p.shard_queries_per_second},
                                       {"worker_queries_per_second", p.worker_queries_per_second},
                                       {"queries_per_second", p.queries_per_second},
                                       {"total_seconds", p.total_seconds}};
  std::printf("%s\n", json.dump(2).c_str());
}

}  // namespace

int PlanCommand(const Arguments& args) {
  PlanSettings s;
  OptionTable table("hullft plan",
                    "Memory, disk, network and time per query of a planned cluster, from measured rates.");
  table.Group("Corpus");
  table.Add("corpus-sequences", &s.corpus_sequences, "sequences in the corpus").Range(1, 1e13);
  table.Add("dim", &s.dim, "width of the embeddings").Range(1, 65536);
  table.Add("sequence-bytes", &s.sequence_bytes, "mean UTF-8 bytes of a sequence").Range(1, 1e9);
  table.Add("sequence-tokens", &s.sequence_tokens, "mean tokens of a sequence").Range(1, 1e9);
  table.Group("Cluster");
  table.Add("nodes", &s.nodes, "nodes, one shard each").Range(1, 1e6);
  table.Add("workers-per-node", &s.workers_per_node, "workers (GPUs, or CPU cores) of a node").Range(1, 4096);
  table.Add("queries-per-worker", &s.queries_per_worker, "queries finetuned at a time by one worker").Range(1, 1024);
  table.Add("worker-gflops", &s.worker_gflops, "float32 GFLOP/s that one worker reaches in finetuning")
      .Range(1e-3, 1e9);
  table.Add("worker-memory-gbs", &s.worker_memory_gbs, "memory bandwidth of one worker, GB/s").Range(1e-3, 1e6);
  table.Add("shard-gflops", &s.shard_gflops, "float32 GFLOP/s of a shard's matrix products").Range(1e-3, 1e9);
  table.Add("shard-memory-gbs", &s.shard_memory_gbs, "memory bandwidth of a shard, GB/s").Range(1e-3, 1e6);
  table.Add("network-gbs", &s.network_gbs, "network bandwidth of a node, GB/s").Range(1e-6, 1e6);
  table.Add("network-latency-us", &s.network_latency_us, "time of one small message").Range(0, 1e9).Unit("us");
  table.Group("Run");
  table.Add("queries", &s.queries, "queries of the run").Range(1, 1e12);
  table.Add("query-tokens", &s.query_tokens, "mean tokens of a query").Range(1, 1e9);
  table.Add("batch", &s.batch, "queries of one round").Range(1, 65536);
  table.Add("k", &s.k, "pool size").Range(1, 1e6);
  table.Add("margin", &s.margin, "candidates beyond K for exact re-scoring").Range(0, 1e6);
  table.Add("n", &s.n, "multiset size").Range(1, 1e6);
  table.Add("distinct", &s.distinct, "distinct sequences in a multiset").Range(1, 1e6);
  table.Add("refresh", &s.refresh, "steps that share a gradient").Range(1, 1e6);
  table.Add("max-length", &s.max_length, "tokens of a training sequence at most").Range(1, 1e6);
  table.Add("model", &s.model, "folder of the language model: its config.json says parameters and memory");
  table.Add("model-parameters", &s.model_parameters, "of the language model, without --model").Range(1, 1e13);
  table.Add("vocabulary", &s.vocabulary, "tokens of its vocabulary, without --model").Range(1, 1e9);
  table.Add("pool", &s.pool, "knn: Frank-Wolfe over the K nearest; global: over the whole corpus")
      .OneOf({"knn", "global"});
  table.Add("iterations", &s.iterations, "Frank-Wolfe updates of one query in global mode").Range(1, 1e6);
  table.Add("json", &s.json, "print JSON");
  if (table.Parse(args)) return 0;
  s.distinct = std::min<double>(s.distinct, s.n);
  if (!s.model.empty()) s.model_parameters = static_cast<double>(worker::ReadModelShape(s.model).parameters);
  const Plan plan = Compute(s);
  if (s.json) {
    PrintJson(s, plan);
  } else {
    Print(s, plan);
  }
  return 0;
}

}  // namespace hullft::coordinator
