#include "coordinator/run_rank.h"

#include <algorithm>
#include <exception>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "common/comm/in_process.h"
#include "common/error.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/parallel.h"
#include "coordinator/coordinator.h"
#include "coordinator/corpus_search.h"
#include "coordinator/holdings.h"
#include "coordinator/layout.h"
#include "coordinator/message_io.h"
#include "coordinator/role_threads.h"
#include "coordinator/roles.h"
#include "coordinator/run_agreement.h"
#include "coordinator/test_hooks.h"
#include "coordinator/worker_models.h"
#include "index/node_copy.h"
#include "worker/device.h"

namespace hullft::coordinator {
namespace {

// The roles of one rank, ready to run.
struct Ready {
  index::CorpusInfo corpus;
  Layout layout;
  std::unique_ptr<ShardRole> shard;
  std::unique_ptr<WorkerModels> models;  // of the worker
};

Ready Prepare(comm::Communicator& world, const RunPlan& plan, const RankContext& context, const StartLimits& limits,
              RankReport* report) {
  const RunSettings& settings = plan.settings;
  Ready ready;
  std::vector<int> copies;
  try {  // what is wrong with the corpus on one rank must not keep it from the collective
    if (!settings.stage.empty()) copies = index::StagedPartitions(settings.corpus, settings.stage);
  } catch (const Error& error) {
    spdlog::debug("rank {}: {}", world.rank(), error.what());  // met again below
  }
  const auto held = ShareCopies(world, copies, limits.models);
  ready.corpus = index::ReadCorpusInfo(settings.corpus);
  report->corpus_digest = ready.corpus.digest;
  report->partitions = std::to_string(ready.corpus.partitions);
  for (const RunSetting& setting : settings.Grid()) {
    if (!select::TakesEachOnce(setting.select.method) || setting.select.n <= ready.corpus.sequences) continue;
    throw Error(Code::kUsage,
                fmt::format("--n {} is more than the {} sequences of {}: {} takes each at most once", setting.select.n,
                            ready.corpus.sequences, settings.corpus, setting.method),
                fmt::format("--n {} or less, or --method hullft", ready.corpus.sequences));
  }
  if (settings.k > ready.corpus.sequences && world.rank() == 0) {
    spdlog::warn("--k {} is more than the {} sequences of {}: all of them are candidates", settings.k,
                 ready.corpus.sequences, settings.corpus);
  }
  std::vector<int64_t> sizes;
  for (const index::PartitionInfo& part : ready.corpus.parts) sizes.push_back(part.sequences);
  ready.layout = MakeLayout(world.hosts(), sizes, held, settings.layout);
  const RankRoles& roles = ready.layout.ranks[static_cast<size_t>(world.rank())];
  if (roles.shard)
    ready.shard = std::make_unique<ShardRole>(world, ready.layout, settings, ready.corpus, context.threads);
  if (roles.worker) {
    ready.models = std::make_unique<WorkerModels>(settings, ready.corpus, context.threads);
    report->worker = true;
    report->device = settings.device;  // LoadModels puts what it came to in its place
    report->tokenizer_digest = ready.models->tokenizer_digest();
    report->encoder_digest = ready.models->encoder_digest();
  }
  return ready;
}

worker::WeightGroup GroupOf(comm::Communicator& group, comm::Deadline deadline) {
  return {group.rank(), group.size(), [&group, deadline](int root, std::string bytes) {
            return group.Broadcast(root, std::move(bytes), deadline);
          }};
}

// Collective over world. The workers' models, with one read of the checkpoint.
void LoadModels(comm::Communicator& world, const Ready& ready, comm::Deadline deadline, RankReport* report) {
  const auto workers = world.Split(ready.models ? 0 : -1, deadline);
  TestHooks::FromEnvironment().WhileLoading(world.rank());
  if (!workers) return;
  const auto& hosts = workers->hosts();
  const std::string& host = hosts[static_cast<size_t>(workers->rank())];
  const auto color = std::find(hosts.begin(), hosts.end(), host) - hosts.begin();
  const auto node = workers->Split(static_cast<int>(color), deadline);
  const auto leaders = workers->Split(node->rank() == 0 ? 0 : -1, deadline);
  worker::WeightExchange exchange{GroupOf(*workers, deadline), GroupOf(*node, deadline), {}, host};
  if (leaders) exchange.leaders = GroupOf(*leaders, deadline);
  try {
    ready.models->LoadTuner(exchange);
    report->model_digest = ready.models->model_digest();
    report->arithmetic = ready.models->arithmetic();
    report->device = worker::ChooseDevice(report->device, exchange.node.rank);
    const c10::Device device = worker::ParseDevice(report->device);
    if (!device.is_cpu()) report->gpu = worker::DeviceIdentity(device);
  } catch (const std::exception& error) {
    report->failure = Failure::From(error);
  }
}

Identity MakeIdentity(const RunPlan& plan, const std::vector<RankReport>& reports, const index::CorpusInfo& corpus) {
  Identity identity = plan.options;
  identity["corpus"] = reports.front().corpus_digest;
  identity.erase("--search-effort");  // what it comes to counts, not what was said
  const std::string search = SearchIdentity(plan.settings, corpus);
  if (!search.empty()) identity["index"] = search;
  if (!plan.settings.query_embeddings.empty())
    identity["query embeddings"] = HashFileHex(plan.settings.query_embeddings);
  for (const RankReport& report : reports) {
    if (!report.worker) continue;
    identity["model"] = report.model_digest;
    identity["tokenizer"] = report.tokenizer_digest;
    if (!plan.settings.encoder.empty()) identity["encoder"] = report.encoder_digest;
    if (!plan.settings.prompt.empty()) identity["--prompt"] = plan.settings.prompt;  // names the run in comparisons
  }
  return identity;
}

std::string TableOf(const Layout& layout, const std::vector<std::string>& hosts,
                    const std::vector<RankReport>& reports) {
  std::vector<RankFacts> facts;
  for (const RankReport& report : reports) facts.push_back({report.pid, report.device, report.cores, report.gpu});
  return LayoutTable(layout, hosts, facts);
}

void StopEverybody(comm::Communicator& world, const Layout& layout) {
  for (const int rank : layout.shards) SendMessage(world, rank, kToShard, Stop{});
  for (const int rank : layout.workers) SendMessage(world, rank, kToWorker, Stop{});
}

}  // namespace

RunOutcome RunRank(comm::Communicator& world, const RunPlan& plan, const RankContext& context,
                   const std::function<void(const RunOutcome&)>& leave) {
  RankReport mine;
  mine.version = plan.version;
  mine.binary = plan.binary;
  mine.config = plan.config;
  DescribeProcess(&mine);
  const StartLimits limits(plan.settings.start_timeout);
  Ready ready;
  try {
    ready = Prepare(world, plan, context, limits, &mine);
  } catch (const std::exception& error) {
    mine.failure = Failure::From(error);
  }
  Agree(world, mine, plan.settings, ready.corpus,
        limits);  // first all that needs no other rank, so that none waits in vain
  LoadModels(world, ready, limits.models, &mine);
  const std::vector<RankReport> reports = Agree(world, mine, plan.settings, ready.corpus, limits);
  const double coverage =
      ShareCoverage(world, ready.shard ? ready.shard->open_sequences() : 0, ready.corpus.sequences, limits.verdict);
  if (ready.shard) ready.shard->SetCoverage(coverage);
  if (world.rank() == 0 && coverage < 1)
    spdlog::warn("{:.2f}% of the corpus can be reached: every row says so", 100 * coverage);

  std::optional<StopMessenger> messenger;
  if (world.rank() != 0 && context.stop != nullptr) messenger.emplace(world, context.stop);
  std::optional<WorkerRole> worker_role;
  std::optional<RoleThread> shard, worker;
  if (ready.shard) shard.emplace(world, *ready.shard);
  if (ready.models) {
    worker_role.emplace(world, ready.layout, *ready.models);
    worker.emplace(world, *worker_role);
  }
  RunOutcome outcome;
  if (world.rank() == 0) {
    try {
      const std::string table = TableOf(ready.layout, world.hosts(), reports);
      spdlog::info("layout:\n{}", table);
      const std::string search = SearchText(plan.settings, ready.corpus);
      spdlog::info("index: {}", search);
      std::vector<std::string> arithmetics;
      for (const int rank : ready.layout.workers) arithmetics.push_back(reports[static_cast<size_t>(rank)].arithmetic);
      Coordinator coordinator(world, ready.layout, {table, search}, plan, context,
                              MakeIdentity(plan, reports, ready.corpus), arithmetics);
      outcome = coordinator.Run();
    } catch (...) {
      StopEverybody(world, ready.layout);
      throw;  // joins the roles of this rank
    }
    if (!outcome.workers_left) {
      spdlog::warn("a worker does not answer; leaving without it");
      leave(outcome);
    }
  }
  if (shard) shard->Join();
  if (worker) worker->Join();
  return outcome;
}

RunOutcome RunInProcess(const RunPlan& plan, const RankContext& context,
                        const std::function<void(const RunOutcome&)>& leave) {
  const int workers = std::max(1, plan.settings.workers);
  const int ranks = workers == 1 ? 1 : workers + 1;
  comm::InProcessWorld world(ranks);
  const auto rank_context = [&](int rank) {
    RankContext own = context;
    own.threads = std::max(1, context.threads / workers);
    if (rank == 0 && ranks > 1) own.threads = context.threads;  // the shard's: it works in bursts
    return own;
  };
  std::vector<std::exception_ptr> errors(static_cast<size_t>(ranks));
  std::vector<std::thread> threads;
  for (int r = 1; r < ranks; ++r) {
    threads.emplace_back([&, r] {
      try {
        RunRank(world.rank(r), plan, rank_context(r), leave);
      } catch (...) {
        errors[static_cast<size_t>(r)] = std::current_exception();
      }
    });
  }
  RunOutcome outcome;
  try {
    outcome = RunRank(world.rank(0), plan, rank_context(0), leave);
  } catch (...) {
    errors[0] = std::current_exception();
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
  return outcome;
}

}  // namespace hullft::coordinator
