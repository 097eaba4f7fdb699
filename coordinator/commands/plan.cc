// hullft plan: the arithmetic of coordinator/plan.h as a command.
#include "coordinator/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <vector>

#include "common/error.h"
#include "common/options.h"
#include "common/progress.h"
#include "coordinator/adapter_flags.h"
#include "coordinator/commands/commands.h"
#include "coordinator/commands/plan_rates.h"

namespace hullft::coordinator {
namespace {

std::string Time(double seconds) {
  return seconds < 1 ? fmt::format("{:.3g} ms", 1000 * seconds) : FormatDuration(seconds);
}

void Print(const PlanSettings& s, const Plan& p, const std::vector<std::string>& sources) {
  const auto line = [](const char* what, const std::string& value) { std::printf("  %-44s%s\n", what, value.c_str()); };
  std::printf("%d nodes, each one shard of %.3g sequences and %d workers\n\n", s.nodes, s.corpus_sequences / s.nodes,
              s.workers_per_node);
  std::printf("each node\n");
  const CorpusPlan& c = p.corpus;
  line("memory for the corpus", FormatBytes(c.held_bytes));
  line(fmt::format("mapped and read by searches ({})", s.index).c_str(),
       FormatBytes(c.swept_bytes) + (c.in_memory ? ", stays in memory" : ", from disk again and again"));
  line("memory for workers", FormatBytes(static_cast<double>(p.memory.Total())));
  std::printf("    %s\n", p.memory.Arithmetic().c_str());
  line("disk (its share of the corpus)", FormatBytes(c.disk_bytes()));
  line("building, embeddings given", FormatDuration(c.ingest_s) + ", index " + FormatDuration(c.index_s));
  line("embedding", FormatDuration(c.embed_s));
  std::printf("each query\n");
  line(s.pool == "global" ? "Frank-Wolfe over the whole corpus" : "search", Time(p.search_seconds) + " of every shard");
  line("network", FormatBytes(p.network_bytes_per_query) + ", " + Time(p.selection_network_seconds));
  line("finetuning", Time(p.tune_seconds) + " of one worker");
  line("scoring before and after", Time(p.score_seconds) + " of one worker");
  std::printf("the run\n");
  line("shards can feed", fmt::format("{:.3g} queries/s", p.shard_queries_per_second));
  line("workers can finetune", fmt::format("{:.3g} queries/s", p.worker_queries_per_second));
  line("the coordinator can serve", fmt::format("{:.3g} queries/s", p.coordinator_queries_per_second));
  line("bound by", p.bound_by);
  line(fmt::format("{:.6g} queries", s.queries).c_str(), FormatDuration(p.total_seconds));
  std::printf("\nCorpus on disk: %s. Arithmetic from rates, no measurement of the planned machines.\n",
              FormatBytes(p.corpus.disk_bytes() * s.nodes).c_str());
  for (const std::string& source : sources) std::printf("  %s\n", source.c_str());
}

void PrintJson(const PlanSettings& s, const Plan& p) {
  const nlohmann::ordered_json json = {{"memory_held_bytes_per_node", p.corpus.held_bytes},
                                       {"memory_swept_bytes_per_node", p.corpus.swept_bytes},
                                       {"swept_in_memory", p.corpus.in_memory},
                                       {"worker_memory_bytes", p.memory.Total() / s.workers_per_node},
                                       {"disk_bytes_per_node", p.corpus.disk_bytes()},
                                       {"corpus_disk_bytes", p.corpus.disk_bytes() * s.nodes},
                                       {"ingest_seconds", p.corpus.ingest_s},
                                       {"embed_seconds", p.corpus.embed_s},
                                       {"index_seconds", p.corpus.index_s},
                                       {"round_seconds", p.corpus.round_s},
                                       {"network_bytes_per_query", p.network_bytes_per_query},
                                       {"search_seconds", p.search_seconds},
                                       {"selection_network_seconds", p.selection_network_seconds},
                                       {"tune_seconds", p.tune_seconds},
                                       {"score_seconds", p.score_seconds},
                                       {"shard_queries_per_second", p.shard_queries_per_second},
                                       {"worker_queries_per_second", p.worker_queries_per_second},
                                       {"coordinator_queries_per_second", p.coordinator_queries_per_second},
                                       {"queries_per_second", p.queries_per_second},
                                       {"bound_by", p.bound_by},
                                       {"total_seconds", p.total_seconds}};
  std::printf("%s\n", json.dump(2).c_str());
}

void BindCorpus(OptionTable* table, PlanSettings* s) {
  table->Group("Corpus");
  table->Add("corpus-sequences", &s->corpus_sequences, "sequences in the corpus").Range(1, 1e13);
  table->Add("dim", &s->dim, "width of the embeddings").Range(1, 65536);
  table->Add("sequence-bytes", &s->sequence_bytes, "mean UTF-8 bytes of a sequence").Range(1, 1e9);
  table->Add("sequence-tokens", &s->sequence_tokens, "mean tokens of a sequence").Range(1, 1e9);
  table->Add("index", &s->index, "Flat, IVFn,Flat, IVFn,SQ8, IVFn,PQm or HNSWm, as in hullft index build");
  table->Add("embedding-dtype", &s->embedding_dtype, "as which embeddings are stored").OneOf({"f32", "f16", "bf16"});
}

void BindCluster(OptionTable* table, PlanSettings* s) {
  table->Group("Cluster");
  table->Add("nodes", &s->nodes, "nodes, one shard each").Range(1, 1e6);
  table->Add("workers-per-node", &s->workers_per_node, "workers (GPUs, or CPU cores) of a node").Range(1, 4096);
  table->Add("cores-per-node", &s->cores_per_node, "of a node, that build the corpus").Range(1, 4096);
  table->Add("node-memory-gb", &s->node_memory_gb, "of a node, GB").Range(1e-3, 1e6);
  table->Add("queries-per-worker", &s->queries_per_worker, "queries finetuned at a time by one worker").Range(1, 1024);
  table->Add("network-gbs", &s->network_gbs, "network bandwidth of a node, GB/s").Range(1e-6, 1e6);
  table->Add("network-latency-us", &s->network_latency_us, "time of one small message").Range(0, 1e9).Unit("us");
}

void BindRun(OptionTable* table, PlanSettings* s) {
  table->Group("Run");
  table->Add("queries", &s->queries, "queries of the run").Range(1, 1e12);
  table->Add("query-tokens", &s->query_tokens, "mean tokens of a query").Range(1, 1e9);
  table->Add("batch", &s->batch, "queries of one round").Range(1, 65536);
  table->Add("k", &s->k, "pool size").Range(1, 1e6);
  table->Add("margin", &s->margin, "candidates beyond K for exact re-scoring").Range(0, 1e6);
  table->Add("n", &s->n, "multiset size").Range(1, 1e6);
  table->Add("distinct", &s->distinct, "distinct sequences in a multiset").Range(1, 1e6);
  table->Add("refresh", &s->refresh, "steps that share a gradient").Range(1, 1e6);
  table->Add("max-length", &s->max_length, "tokens of a training sequence at most").Range(1, 1e6);
  BindAdapter(table, &s->adapter);
  table->Add("model", &s->model, "folder of the language model: its config.json says parameters and memory");
  table->Add("model-parameters", &s->model_parameters, "of the language model, without --model").Range(1, 1e13);
  table->Add("vocabulary", &s->vocabulary, "tokens of its vocabulary, without --model").Range(1, 1e9);
  table->Add("pool", &s->pool, "knn: Frank-Wolfe over the K nearest; global: over the whole corpus")
      .OneOf({"knn", "global"});
  table->Add("iterations", &s->iterations, "Frank-Wolfe updates of one query in global mode").Range(1, 1e6);
}

}  // namespace

int PlanCommand(const Arguments& args) {
  PlanSettings s;
  bool json = false, corpus_table = false;
  OptionTable table("hullft plan",
                    "Memory, disk, network and time per query of a planned cluster, from measured rates.");
  BindCorpus(&table, &s);
  table.Add("table", &corpus_table,
            "print a Markdown table of corpora of 1e6, 1e8 and 2.1e8 sequences on 1 to 64 nodes instead");
  BindCluster(&table, &s);
  PlanRates rates(&table, &s);
  BindRun(&table, &s);
  table.Add("json", &json, "print JSON");
  table.Example("hullft plan --corpus-sequences 210e6 --dim 1024 --nodes 32");
  table.Example("hullft plan --table --index IVF4096,SQ8 --rates index.json");
  if (table.Parse(args)) return 0;
  if (s.adapter.lora() && s.model.empty()) {
    throw Error(Code::kUsage,
                "hullft plan: --adapter lora needs --model, whose config.json says the sizes of its layers",
                "--model FOLDER (config.json suffices)");
  }
  const std::vector<std::string> sources = rates.TakeMeasured();
  s.distinct = std::min<double>(s.distinct, s.n);
  if (!s.model.empty()) s.model_parameters = static_cast<double>(worker::ReadModelShape(s.model).parameters);
  const Plan plan = ComputePlan(s);
  if (corpus_table) {
    std::fputs(CorpusPlanTable(s).c_str(), stdout);
  } else if (json) {
    PrintJson(s, plan);
  } else {
    Print(s, plan, sources);
  }
  return 0;
}

}  // namespace hullft::coordinator
