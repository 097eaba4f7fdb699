#include "coordinator/bench/round_cost.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>

#include "common/error.h"
#include "common/parallel.h"
#include "coordinator/bench/measure.h"
#include "coordinator/bench/synthetic_corpus.h"
#include "coordinator/round.h"
#include "index/builder.h"

namespace hullft::coordinator {
namespace {

namespace fs = std::filesystem;
constexpr std::chrono::minutes kWait{10};

SyntheticCorpus CorpusOf(const RoundCost& settings) {
  SyntheticSettings synthetic;
  synthetic.sequences = static_cast<int64_t>(settings.shards) * settings.rows;
  synthetic.dim = settings.dim;
  return SyntheticCorpus(synthetic);
}

void Build(const SyntheticCorpus& corpus, int partitions, const fs::path& folder) {
  fs::create_directories(folder);
  index::BuildSettings build;
  build.inputs = {(folder / "texts.jsonl").string()};
  build.embeddings = (folder / "vectors.npy").string();
  build.output = (folder / "corpus").string();
  build.partitions = partitions;
  build.quiet = true;
  corpus.WriteTexts(build.inputs.front());
  corpus.WriteVectors(build.embeddings);
  const index::TokenizeFunction tokenize{[](std::string_view text) { return std::vector<int32_t>(text.size() / 4, 7); },
                                         "one token for 4 bytes"};
  (void)index::BuildCorpus(build, {nullptr, 0, ""}, tokenize);  // ignored: only the files are needed
}

RoundWork WorkOf(const SyntheticCorpus& corpus, int queries) {
  const auto d = static_cast<size_t>(corpus.settings().dim);
  RoundWork work;
  work.targets.resize(static_cast<size_t>(queries) * d);
  for (int q = 0; q < queries; ++q) {
    work.queries.emplace_back();
    work.queries.back().query = q;
    corpus.Vector(-1 - q, std::span(work.targets).subspan(static_cast<size_t>(q) * d, d));
  }
  return work;
}

// Of one round; rank 0's.
struct Cost {
  double seconds = std::numeric_limits<double>::infinity();
  double bytes = 0;   // sent by all shards
  double tokens = 0;  // chosen, of all queries
};

// Sums over the ranks, on rank 0.
double Sum(comm::Communicator& ranks, double value) {
  double sum = 0;
  for (const std::string& one :
       ranks.Gather(0, {reinterpret_cast<const char*>(&value), sizeof value}, comm::After(kWait))) {
    double part = 0;
    std::memcpy(&part, one.data(), sizeof part);
    sum += part;
  }
  return sum;
}

// Collective: every rank is a shard, with its share of the partitions and of the cores. The shortest of the
// repetitions.
Cost RunRounds(comm::Communicator& ranks, const fs::path& corpus, const RoundWork& work, PoolMode pool,
               int repetitions) {
  const fs::path folder = ranks.Broadcast(0, corpus.string(), comm::After(kWait));
  const int partitions = index::ReadCorpusInfo(folder).partitions;
  std::vector<std::unique_ptr<index::Partition>> open;
  for (int p = ranks.rank(); p < partitions; p += ranks.size()) open.push_back(index::Partition::Open(folder, p));
  std::vector<int> shards(static_cast<size_t>(ranks.size()));
  std::iota(shards.begin(), shards.end(), 0);
  RoundSettings settings;
  settings.pool = pool;
  settings.threads = std::max(1, UsableCores() / ranks.size());
  Round round(ranks, shards, ranks.rank(), open, settings);
  Cost cost;
  double bytes = 0, tokens = 0;
  for (int i = 0; i <= repetitions; ++i) {  // the first warms up
    ranks.Barrier(comm::After(kWait));
    const int64_t before = ranks.traffic().bytes_sent;
    std::vector<Selected> results;
    const double seconds = Seconds([&] {
      results = round.Run(work);
      ranks.Barrier(comm::After(kWait));
    });
    bytes = static_cast<double>(ranks.traffic().bytes_sent - before);
    tokens = 0;
    for (const Selected& result : results) {
      if (result.failure) result.failure->Throw({ranks.rank(), "bench"});
      for (const Training& training : result.training) tokens += static_cast<double>(training.tokens.size());
    }
    if (i > 0) cost.seconds = std::min(cost.seconds, seconds);
  }
  cost.bytes = Sum(ranks, bytes);
  cost.tokens = Sum(ranks, tokens);
  return cost;
}

}  // namespace

double DesignBytesPerQuery(int shards, int candidates, int dim, double tokens) {
  const double all = 16.0 * shards * candidates + 4.0 * dim * candidates + 4 * tokens;
  return all * (shards - 1) / shards;
}

void MeasureRounds(BenchWorld& world, const fs::path& scratch, const RoundCost& settings, Figures* figures) {
  if (world.capacity() < settings.shards) return;
  const SyntheticCorpus corpus = CorpusOf(settings);
  if (world.first()) Build(corpus, settings.shards, scratch / "rounds");
  for (const PoolMode pool : {PoolMode::kKnn, PoolMode::kGlobal}) {
    const int queries = pool == PoolMode::kKnn ? settings.queries : settings.global_queries;
    const RoundWork work = WorkOf(corpus, queries);
    Cost one, all;
    for (int i = 0; i < 2; ++i) {  // in turns: the machine may be busier for one of them
      for (const int ranks : {1, settings.shards}) {
        world.On(ranks, [&](comm::Communicator& shards) {
          const Cost cost = RunRounds(shards, scratch / "rounds/corpus", work, pool, settings.repetitions);
          Cost& best = ranks == 1 ? one : all;
          if (shards.rank() == 0 && cost.seconds < best.seconds) best = cost;
        });
      }
    }
    if (!world.first()) continue;
    const std::string name = pool == PoolMode::kKnn ? "round" : "global_round";
    const std::string what = pool == PoolMode::kKnn ? "round" : "global round";
    figures->Add({name + ".one_process_ms",
                  fmt::format("{} of {} queries over {} x {}, one process", what, queries,
                              settings.shards * settings.rows, settings.dim),
                  1000 * one.seconds,
                  "ms",
                  {},
                  {}});
    figures->Add({name + ".shards_ratio",
                  fmt::format("... over {} shards of {}, to that", settings.shards, settings.rows),
                  all.seconds / one.seconds,
                  "x",
                  {},
                  pool == PoolMode::kKnn ? std::optional(1.2) : std::nullopt});
    figures->Add({name + ".bytes_per_query",
                  fmt::format("{}: sent between shards a query", what),
                  all.bytes / queries,
                  "B",
                  {},
                  {}});
    if (pool != PoolMode::kKnn) continue;
    const RoundSettings defaults;
    figures->Add(
        {name + ".bytes_of_design", "... of what the design says",
         all.bytes / queries /
             DesignBytesPerQuery(settings.shards, defaults.k + defaults.margin, settings.dim, all.tokens / queries),
         "x", 0.9, 1.1});
  }
}

}  // namespace hullft::coordinator
