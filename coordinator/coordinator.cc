#include "coordinator/coordinator.h"

#include <algorithm>
#include <unordered_set>

#include "common/error.h"
#include "common/log.h"
#include "common/npy.h"
#include "common/thread_clock.h"
#include "coordinator/message_io.h"
#include "coordinator/run_status.h"

namespace hullft::coordinator {
namespace {

SchedulerOptions SchedulerOptionsOf(const RunSettings& settings, const Layout& layout) {
  SchedulerOptions options;
  options.workers = static_cast<int>(layout.workers.size());
  options.lanes = settings.queries_per_worker;
  options.in_flight = 2 * settings.queries_per_worker;
  options.retries = settings.retries;
  options.first_deadline = settings.task_timeout;
  options.min_deadline = std::min(options.min_deadline, settings.task_timeout);
  return options;
}

// The settings' own options with what all of them share.
std::map<std::string, Identity> IdentitiesOf(const std::vector<RunSetting>& grid, const Identity& agreed) {
  std::map<std::string, Identity> identities;
  for (const RunSetting& setting : grid) {
    Identity& identity = identities[setting.name] = agreed;
    for (const auto& [name, value] : setting.options) {
      if (identity.contains(name)) identity[name] = value;  // what MakeIdentity left out counts in no setting
    }
  }
  return identities;
}

nlohmann::ordered_json Provenance(const comm::Communicator& world, const RunPlan& plan, const RankContext& context,
                                  const RunHeader& header) {
  return {{"version", plan.version},        {"host", world.hosts().front()},
          {"ranks", world.size()},          {"threads_per_worker", context.threads},
          {"corpus", plan.settings.corpus}, {"queries", plan.settings.queries},
          {"model", plan.settings.model},   {"encoder", plan.settings.encoder},
          {"search", header.search}};
}

}  // namespace

Coordinator::Coordinator(comm::Communicator& world, const Layout& layout, const RunHeader& header, const RunPlan& plan,
                         const RankContext& context, const Identity& identity,
                         const std::vector<std::string>& arithmetics)
    : world_(world),
      layout_(layout),
      plan_(plan),
      context_(context),
      grid_(plan.settings.Grid()),
      folder_(plan.settings.output, IdentitiesOf(grid_, identity)),
      disk_(folder_.folder(), int64_t{1'000'000} * plan.settings.disk_reserve),
      display_(!plan.settings.quiet),
      scheduler_(SchedulerOptionsOf(plan.settings, layout)),
      stages_(layout.workers.size()),
      finished_by_(layout.workers.size(), 0) {
  const RunSettings& settings = plan.settings;
  const int64_t rejects = TakeQueries(identity);
  if (settings.guard != "off") {
    tokenizer_ = Tokenizer::Load(settings.model);
    if (const auto agreed = identity.find("tokenizer");
        agreed == identity.end() || agreed->second != tokenizer_->digest())
      throw DataError("{} on rank 0 holds another tokenizer than the workers'", settings.model);
  }
  if (!settings.score_cache.empty()) OpenScoreCache(identity, arithmetics);
  if (settings.http >= 0) {
    live_ = std::make_unique<LivePage>(settings.http_address, settings.http, folder_.folder());
    spdlog::info("the run can be watched at {}", live_->url());
  }
  folder_.Start(plan.config, header.layout_table, Provenance(world, plan, context, header));
  log_.emplace(folder_.folder() / "log.txt");
  journal_ = std::make_unique<Journal>(folder_.journal());
  FindPending();
  if (rejects > 0) spdlog::warn("{} bad queries were put into {}", rejects, folder_.rejects().string());
  if (outcome_.skipped > 0) spdlog::info("{} of {} queries are done already", outcome_.skipped, outcome_.queries);
}

// Returns how many records of the file were none.
int64_t Coordinator::TakeQueries(const Identity& identity) {
  const RunSettings& settings = plan_.settings;
  std::vector<std::string> identities;
  const auto by_name = IdentitiesOf(grid_, identity);
  for (const RunSetting& setting : grid_) identities.push_back(IdentityText(by_name.at(setting.name)));
  QueryFile file = ReadQueries(settings.queries, identities, settings.limit, folder_.rejects(), settings.max_rejects);
  queries_ = std::move(file.queries);
  if (settings.query_embeddings.empty()) return file.rejects;
  const NpyFile stored(settings.query_embeddings);
  const int64_t rows = stored.shape().empty() ? 0 : stored.shape()[0];
  if (rows != file.records) {
    throw Error(Code::kData,
                fmt::format("{} has {} rows, {} has {} records", settings.query_embeddings, rows, settings.queries,
                            file.records),
                "embed the same file: hullft embed --input");
  }
  return file.rejects;
}

// What has no row in the journal that was there.
void Coordinator::FindPending() {
  const RunSettings& settings = plan_.settings;
  std::unordered_set<std::string> finished;
  for (const Row& row : journal_->TakeRecovered()) {
    if (row.ok) finished.insert(row.key + row.run);  // settings may differ in what changes no result
  }
  for (size_t q = 0; q < queries_.size(); ++q) {
    std::vector<int> wanted;
    for (size_t setting = 0; setting < grid_.size(); ++setting) {
      const std::string& name = grid_[setting].name;
      if (!settings.only.empty() && !settings.only.contains({queries_[q].number, name})) continue;
      ++outcome_.queries;
      if (!finished.contains(queries_[q].keys[setting] + name)) wanted.push_back(static_cast<int>(setting));
    }
    if (wanted.empty()) continue;
    pending_.push_back(static_cast<int64_t>(q));
    outcome_.skipped -= static_cast<int64_t>(wanted.size());
    wanted_[static_cast<int64_t>(q)] = std::move(wanted);
  }
  outcome_.skipped += outcome_.queries;
}

double Coordinator::Now() const {
  return std::chrono::duration<double>(comm::Clock::now() - start_).count();
}

RunOutcome Coordinator::Run() {
  const double cpu_start = ThreadCpuSeconds();
  const int tags[] = {kToCoordinator};
  outcome_.stats.started_ms = UnixSeconds() * 1000 - Now() * 1000;
  while (true) {
    if (stop_requested_ || (context_.stop != nullptr && context_.stop->load() != 0)) {
      outcome_.stopped = true;
      break;
    }
    if (next_ == pending_.size() && open_.empty()) break;
    if (!disk_.Full(Now())) {  // what is out is finished and written all the same
      StartRounds();
      Dispatch();
    }
    if (const auto envelope = world_.Receive(comm::kAnySource, tags, comm::After(Patience()))) Handle(*envelope);
    for (const int64_t task : scheduler_.Expire(Now()))
      GiveUp(task, "no worker finished it by its deadline", -1, plan_.settings.retries + 1);
    ExpireEmbeddings();
    ShowProgress();
  }
  if (outcome_.stopped)
    spdlog::warn("stopping: running queries get {} s to finish; a second signal ends at once", plan_.settings.grace);
  TakeStats();
  StopAll();
  WaitForByes(plan_.settings.grace);
  journal_->Flush();
  outcome_.stats.coordinator_cpu_seconds = ThreadCpuSeconds() - cpu_start;
  Finish();
  return outcome_;
}

void Coordinator::Handle(const comm::Envelope& envelope) {
  if (!comm::wire::Whole(envelope.payload)) return OnDamaged(envelope.source);
  switch (TypeOf(world_, envelope)) {
    case EmbedDone::kType:
      return OnEmbedDone(Decode<EmbedDone>(world_, envelope));
    case Selected::kType:
      return OnSelected(Decode<Selected>(world_, envelope));
    case TuneDone::kType:
      return OnTuneDone(Decode<TuneDone>(world_, envelope), envelope.source);
    case StageEvent::kType:
      return OnStage(Decode<StageEvent>(world_, envelope), envelope.source);
    case Bye::kType:
      return OnBye(Decode<Bye>(world_, envelope), envelope.source);
    case Damaged::kType:
      return OnDamagedAtRole(Decode<Damaged>(world_, envelope), envelope.source);
    case StopRequest::kType:
      if (!stop_requested_)
        spdlog::warn("rank {} on {} was told to stop by signal {}", envelope.source,
                     world_.hosts()[static_cast<size_t>(envelope.source)],
                     Decode<StopRequest>(world_, envelope).signal);
      stop_requested_ = true;
      return;
    case Fatal::kType: {
      const Failure failure = Decode<Fatal>(world_, envelope).failure;
      if (envelope.source == 0) throw Error(CodeFromName(failure.code), failure.message, failure.hint);
      failure.Throw(PeerOf(world_, envelope));
    }
    default:
      ThrowUnexpected(world_, envelope);
  }
}

int Coordinator::WorkerOf(int rank) const {
  const auto place = std::lower_bound(layout_.workers.begin(), layout_.workers.end(), rank);
  HULLFT_CHECK(place != layout_.workers.end() && *place == rank);
  return static_cast<int>(place - layout_.workers.begin());
}

void Coordinator::StopAll() {
  stopping_ = true;
  for (const int rank : layout_.shards) SendMessage(world_, rank, kToShard, Stop{});
  for (const int rank : layout_.workers) SendMessage(world_, rank, kToWorker, Stop{});
}

// Takes what still comes in. After a stop the workers finish what they work on, and these results count; a shard may
// still be in a round that nobody needs, and is not waited for.
void Coordinator::WaitForByes(double seconds) {
  const int tags[] = {kToCoordinator};
  const double end = Now() + seconds;
  const auto missing = [&] {
    return worker_byes_.size() < layout_.workers.size() ||
           (!outcome_.stopped && shard_byes_.size() < layout_.shards.size());
  };
  while (missing() && Now() < end) {
    const auto envelope = world_.Receive(comm::kAnySource, tags, comm::After(std::chrono::milliseconds(100)));
    if (!envelope) continue;
    if (outcome_.stopped && !comm::wire::Whole(envelope->payload)) continue;  // its work is done again by the next run
    if (outcome_.stopped && TypeOf(world_, *envelope) == Selected::kType)
      continue;  // will be made again by the next run
    if (outcome_.stopped && TypeOf(world_, *envelope) == EmbedDone::kType) continue;
    Handle(*envelope);
  }
  outcome_.workers_left = worker_byes_.size() == layout_.workers.size();
}

}  // namespace hullft::coordinator
