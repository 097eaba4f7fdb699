// What a planned cluster needs, before asking for its nodes: memory, disk, network and time per query, by arithmetic
// from rates that were measured (`hullft bench`) and the counts that the design gives. Thread safety: values.
#pragma once

#include <cstdint>
#include <string>

#include "coordinator/plan_corpus.h"
#include "worker/memory_plan.h"

namespace hullft::coordinator {

struct PlanSettings : CorpusPlanSettings {
  // The cluster. Rates without a source: docs/performance.md.
  int workers_per_node = 4;
  double worker_gflops = 60;       // float32, one CPU core (docs/performance.md); an H100 in TF32 is about 200,000
  double worker_memory_gbs = 12;   // memory bandwidth of one worker, GB/s
  double network_gbs = 1.25;       // per node, GB/s (10 Gbit/s)
  double network_latency_us = 30;  // one message
  double coordinator_us = 57;      // CPU time of the coordinator's thread a query
  double journal_rows = 10000;     // durable rows a second
  // The run.
  double queries = 10000;
  double query_tokens = 1000;
  int n = 20;
  int refresh = 2;
  double distinct = 15;  // sequences with a count above 0 in one multiset, measured about 0.7 N
  int max_length = 1024;
  int queries_per_worker = 1;
  worker::AdapterOptions adapter;
  std::string model;  // folder; "": the next two
  int64_t vocabulary = 50257;
  double model_parameters = 124e6;
  std::string pool = "knn";
  int iterations = 120;  // Frank-Wolfe updates of one query in global mode
};

// Bytes and seconds; rates in queries a second.
struct Plan {
  CorpusPlan corpus;          // of a node
  worker::MemoryPlan memory;  // of a node
  double network_bytes_per_query, search_seconds, selection_network_seconds, tune_seconds, score_seconds;
  double shard_queries_per_second, worker_queries_per_second, coordinator_queries_per_second, queries_per_second,
      total_seconds;
  const char* bound_by;
};

// Throws what reading the model's config.json throws.
Plan ComputePlan(const PlanSettings& settings);

}  // namespace hullft::coordinator
