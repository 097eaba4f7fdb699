#include "coordinator/run_rank.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <map>
#include <optional>
#include <sstream>
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
#include "coordinator/messages.h"
#include "coordinator/roles.h"
#include "coordinator/test_hooks.h"
#include "coordinator/worker_models.h"
#include "index/node_copy.h"
#include "worker/device.h"

namespace hullft::coordinator {
namespace {

// When a start is given up: first what ranks wait for of each other, then the report of a rank, then the verdict of
// rank 0. In this order, so that the error names the rank that does not come and not one that waits for it.
struct StartLimits {
  explicit StartLimits(double seconds) {
    const auto step = std::chrono::milliseconds(std::llround(1000 * std::min(seconds, 20.0)));
    models = comm::After(std::chrono::milliseconds(std::llround(1000 * seconds)));
    reports = models + step;
    verdict = reports + step;
  }
  comm::Deadline models, reports, verdict;
};

// What a rank has found out while it got ready; rank 0 compares.
struct RankReport {
  static constexpr uint16_t kType = 120;
  std::optional<Failure> failure;
  std::string version, binary, config, corpus_digest, partitions;
  bool worker = false;
  std::string model_digest, tokenizer_digest, encoder_digest, arithmetic;
  int64_t pid = 0;
  std::string device, cores, gpu;  // RankFacts
  template <class A>
  void Wire(A& a) {
    a(failure, version, binary, config, corpus_digest, partitions, worker, model_digest, tokenizer_digest,
      encoder_digest, arithmetic, pid, device, cores, gpu);
  }
};

struct Verdict {
  static constexpr uint16_t kType = 121;
  std::optional<Failure> failure;
  template <class A>
  void Wire(A& a) {
    a(failure);
  }
};

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
    ready.models = std::make_unique<WorkerModels>(settings, context.threads);
    report->worker = true;
    report->device = settings.device;  // LoadModels puts what it came to in its place
    report->tokenizer_digest = ready.models->tokenizer_digest();
    report->encoder_digest = ready.models->encoder_digest();
  }
  return ready;
}

void CompareWithCorpus(const RankReport& worker, const RunSettings& settings, const index::CorpusInfo& corpus) {
  if (worker.tokenizer_digest != corpus.tokenizer_digest) {
    throw Error(Code::kData,
                fmt::format("{} was tokenized with another tokenizer ({}) than that of {} ({})", settings.corpus,
                            corpus.tokenizer_digest, settings.model, worker.tokenizer_digest),
                "give the model the corpus was built for, or build the corpus again with --model " + settings.model);
  }
  if (!settings.encoder.empty() && worker.encoder_digest != corpus.encoder_digest) {
    throw Error(Code::kData,
                fmt::format("{} was built with another encoder ({}) than {} ({})", settings.corpus,
                            corpus.encoder_digest, settings.encoder, worker.encoder_digest),
                "give the encoder the corpus was built with (hullft index info), or build it again with --encoder " +
                    settings.encoder);
  }
}

// The first line of `odd` that is not in its place in `common`: the setting that differs.
std::string DifferingLine(const std::string& common, const std::string& odd) {
  std::istringstream left(common), right(odd);
  std::string a, b;
  do {
    a.clear(), b.clear();
    std::getline(left, a);
    std::getline(right, b);
  } while (a == b && (left || right));
  return fmt::format("'{}', not '{}'", b, a);
}

// Throws for the first rank whose value is not that of most ranks (of rank 0, where two are equally common).
// values: by rank. differing_line: the values are long, show only where they differ.
void CheckSame(const comm::Communicator& world, const std::string& what, const std::map<int, std::string>& values,
               bool differing_line = false) {
  std::map<std::string, int> count;
  for (const auto& [rank, value] : values) ++count[value];
  if (count.size() < 2) return;
  std::string common = values.begin()->second;
  for (const auto& [value, n] : count) {
    if (n > count[common]) common = value;
  }
  for (const auto& [rank, value] : values) {
    if (value == common) continue;
    throw Error(Code::kUsage,
                fmt::format("rank {} on {} has another {} than the other ranks: {}", rank,
                            world.hosts()[static_cast<size_t>(rank)], what,
                            differing_line ? DifferingLine(common, value) : fmt::format("{}, not {}", value, common)),
                "every rank must start the same binary with the same arguments and see the same files");
  }
}

// Rank 0: throws for the first rank that failed or differs from the others.
void Compare(const comm::Communicator& world, const std::vector<RankReport>& reports, const RunSettings& settings,
             const index::CorpusInfo& corpus) {
  const auto same = [&](const std::string& what, const std::string RankReport::*field, bool workers_only) {
    std::map<int, std::string> values;
    for (size_t r = 0; r < reports.size(); ++r) {
      if (reports[r].worker || !workers_only) values[static_cast<int>(r)] = reports[r].*field;
    }
    CheckSame(world, what, values, field == &RankReport::config);
  };
  // These first: they are often why a rank failed.
  same("version", &RankReport::version, false);
  same("binary", &RankReport::binary, false);
  same("setting", &RankReport::config, false);
  for (size_t r = 0; r < reports.size(); ++r) {
    const RankReport& report = reports[r];
    if (report.failure && r == 0)
      throw Error(CodeFromName(report.failure->code), report.failure->message, report.failure->hint);
    if (report.failure) report.failure->Throw({static_cast<int>(r), world.hosts()[r]});
  }
  same("corpus", &RankReport::corpus_digest, false);
  same("number of partitions", &RankReport::partitions, false);  // no part of the digest
  same("model", &RankReport::model_digest, true);
  same("tokenizer", &RankReport::tokenizer_digest, true);
  same("encoder", &RankReport::encoder_digest, true);
  const auto worker = std::ranges::find_if(reports, &RankReport::worker);
  HULLFT_CHECK(worker != reports.end());  // MakeLayout gives every world one
  CompareWithCorpus(*worker, settings, corpus);
}

// Collective. Every rank throws the same error when one failed or differs. Returns the reports on rank 0.
std::vector<RankReport> Agree(comm::Communicator& world, const RankReport& mine, const RunSettings& settings,
                              const index::CorpusInfo& corpus, const StartLimits& limits) {
  const auto payloads = world.Gather(0, comm::wire::Encode(RankReport::kType, mine), limits.reports);
  std::vector<RankReport> reports;
  Verdict verdict;
  if (world.rank() == 0) {
    try {
      for (size_t r = 0; r < payloads.size(); ++r) {
        reports.push_back(
            comm::wire::Decode<RankReport>(RankReport::kType, payloads[r], {static_cast<int>(r), world.hosts()[r]}));
      }
      Compare(world, reports, settings, corpus);
    } catch (const std::exception& error) {
      verdict.failure = Failure::From(error);
    }
  }
  const std::string decided = world.Broadcast(0, comm::wire::Encode(Verdict::kType, verdict), limits.verdict);
  verdict = comm::wire::Decode<Verdict>(Verdict::kType, decided, {0, world.hosts().front()});
  if (verdict.failure)
    throw Error(CodeFromName(verdict.failure->code), verdict.failure->message, verdict.failure->hint);
  return reports;
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
  }
  return identity;
}

// Runs a role on a thread; what it throws ends the run through the coordinator.
class RoleThread {
 public:
  template <class Role>
  RoleThread(comm::Communicator& world, Role& role)
      : thread_([this, &world, &role] {
          try {
            role.Run();
          } catch (const std::exception& error) {
            error_ = std::current_exception();
            try {
              SendMessage(world, 0, kToCoordinator, Fatal{Failure::From(error)});
            } catch (const std::exception& also) {
              spdlog::error("rank {}: {} (and the coordinator cannot be told: {})", world.rank(), error.what(),
                            also.what());
            }
          }
        }) {}
  ~RoleThread() {
    if (thread_.joinable()) thread_.join();
  }
  RoleThread(const RoleThread&) = delete;
  RoleThread& operator=(const RoleThread&) = delete;
  void Join() {
    thread_.join();
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::exception_ptr error_;
  std::thread thread_;  // last: starts when everything else is there
};

// Takes a signal of another rank than the coordinator's to it, while this object lives.
class StopMessenger {
 public:
  StopMessenger(comm::Communicator& world, const std::atomic<int>* stop)
      : thread_([&world, stop](const std::stop_token& end) {
          while (!end.stop_requested()) {
            if (const int signal = stop->load(); signal != 0)
              return SendMessage(world, 0, kToCoordinator, StopRequest{signal});
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
          }
        }) {}

 private:
  std::jthread thread_;
};

// What the layout table says of this rank.
void Describe(RankReport* report) {
  report->pid = ::getpid();
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return;  // more than 1024 cores: the table does without
  std::vector<int> cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &set)) cores.push_back(core);
  }
  report->cores = RangesText(cores);
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
  Describe(&mine);
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
