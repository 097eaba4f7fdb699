#include "coordinator/plan.h"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

namespace hullft::coordinator {

Plan ComputePlan(const PlanSettings& s) {
  Plan p{};
  const double per_node = s.corpus_sequences / s.nodes;
  p.corpus = PlanCorpus(s);
  worker::ModelShape shape{static_cast<int64_t>(s.model_parameters), s.vocabulary, 0};
  if (!s.model.empty()) shape = worker::ReadModelShape(s.model);
  // What GPT-2 (124M) keeps of a token for its parameters; larger models keep less for each.
  if (s.model.empty()) shape.kept_floats = static_cast<int64_t>(s.model_parameters * 1.25 / 1024);
  p.memory = worker::PlanMemory(shape, s.max_length, s.workers_per_node, s.queries_per_worker, s.adapter);
  // Lists of candidates, their embeddings and the chosen tokens; 1 / S of each is the owner's own
  // (coordinator/round.h).
  const double candidates = s.k + s.margin;
  const double tokens_bytes = s.distinct * std::min<double>(s.sequence_tokens, s.max_length) * 4;
  p.network_bytes_per_query =
      (s.nodes * candidates * 16 + candidates * 4 * s.dim + tokens_bytes) * (s.nodes - 1) / s.nodes;
  // Global mode reads all vectors in every iteration, whatever the index: one product of [per_node, d] with [d, B].
  const double one_pass = std::max(2.0 * per_node * s.dim * s.batch / (s.shard_gflops * 1e9),
                                   per_node * s.dim * 4 / (s.shard_memory_gbs * 1e9));
  const double hops = std::ceil(std::log2(std::max(2, s.nodes)));
  p.search_seconds = (s.pool == "global" ? s.iterations * one_pass : p.corpus.round_s) / s.batch;
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
  // Adapters alone: no products for the gradients of weights, next to no traffic of Adam.
  const double flops = s.adapter.lora() ? 4 : 6, adam_bytes = s.adapter.lora() ? 0 : 28;
  p.tune_seconds = gradients * (flops * s.model_parameters * tokens / (s.worker_gflops * 1e9) +
                                adam_bytes * s.model_parameters / (s.worker_memory_gbs * 1e9));
  p.score_seconds = 2 * 2 * s.model_parameters * s.query_tokens / (s.worker_gflops * 1e9);
  p.shard_queries_per_second = 1 / (p.search_seconds + p.selection_network_seconds);
  p.worker_queries_per_second = s.nodes * s.workers_per_node / (p.tune_seconds + p.score_seconds);
  p.coordinator_queries_per_second = std::min(1e6 / s.coordinator_us, s.journal_rows);
  const std::pair<double, const char*> bounds[] = {{p.worker_queries_per_second, "the workers"},
                                                   {p.shard_queries_per_second, "the shards"},
                                                   {p.coordinator_queries_per_second, "the coordinator"}};
  std::tie(p.queries_per_second, p.bound_by) = *std::min_element(std::begin(bounds), std::end(bounds));
  p.total_seconds = s.queries / p.queries_per_second;
  return p;
}

}  // namespace hullft::coordinator
