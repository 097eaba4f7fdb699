#include "coordinator/coordinator.h"

#include <algorithm>
#include <unordered_set>

#include "common/error.h"
#include "common/log.h"
#include "common/npy.h"
#include "common/thread_clock.h"

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

double UnixSeconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
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
  std::vector<std::string> identities;
  const auto by_name = IdentitiesOf(grid_, identity);
  for (const RunSetting& setting : grid_) identities.push_back(IdentityText(by_name.at(setting.name)));
  QueryFile file = ReadQueries(settings.queries, identities, settings.limit, folder_.rejects(), settings.max_rejects);
  queries_ = std::move(file.queries);
  if (!settings.query_embeddings.empty()) {
    const NpyFile stored(settings.query_embeddings);
    if (stored.shape().empty() || stored.shape()[0] != file.records) {
      throw Error(Code::kData,
                  fmt::format("{} has {} rows, {} has {} records", settings.query_embeddings,
                              stored.shape().empty() ? 0 : stored.shape()[0], settings.queries, file.records),
                  "embed the same file: hullft embed --input");
    }
  }
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
  if (file.rejects > 0) spdlog::warn("{} bad queries were put into {}", file.rejects, folder_.rejects().string());
  if (outcome_.skipped > 0) spdlog::info("{} of {} queries are done already", outcome_.skipped, outcome_.queries);
}

void Coordinator::OpenScoreCache(const Identity& identity, const std::vector<std::string>& arithmetics) {
  score_cache_ = std::make_unique<ScoreCache>(plan_.settings.score_cache);
  spdlog::info("{} untuned scores are known from {}", score_cache_->size(), plan_.settings.score_cache);
  for (const std::string& arithmetic : arithmetics) {
    score_settings_.push_back({plan_.binary, identity.at("model"), identity.at("tokenizer"), arithmetic,
                               plan_.settings.tune.max_length, plan_.settings.tune.prefix_token});
  }
}

std::string Coordinator::ScoreKey(int64_t query, int worker) const {
  return ScoreCache::Key(score_settings_[static_cast<size_t>(worker)], queries_[static_cast<size_t>(query)].text_hash);
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

// While the workers are still at it: waiting for Bye is no part of the work.
void Coordinator::TakeStats() {
  outcome_.stats.seconds = Now();
  for (size_t w = 0; w < layout_.workers.size(); ++w) {
    const int rank = layout_.workers[w];
    outcome_.stats.workers.push_back({rank, world_.hosts()[static_cast<size_t>(rank)],
                                      scheduler_.busy_share(static_cast<int>(w), outcome_.stats.seconds), 0});
  }
}

// The tables, on screen and in the folder.
void Coordinator::Finish() {
  if (outcome_.finished + outcome_.failed > 0) display_.Finish(View());
  const comm::Traffic own = world_.traffic();
  traffic_[0] = {0, own.messages_sent, own.messages_received, own.bytes_sent, own.bytes_received};
  for (const auto& [rank, traffic] : traffic_) outcome_.stats.ranks.push_back(traffic);
  for (size_t w = 0; w < finished_by_.size(); ++w) outcome_.stats.workers[w].finished = finished_by_[w];
  outcome_.stats.world = world_.size();
  outcome_.stats.finished = outcome_.finished;
  outcome_.stats.failed = outcome_.failed;
  outcome_.stats.retried = scheduler_.counters().retried;
  outcome_.stats.expired = scheduler_.counters().expired;
  outcome_.stats.late = scheduler_.counters().late;
  const std::vector<Row> rows = ReadJournal(folder_.journal()).rows;
  const Report report = MakeReport(rows);
  const bool one = grid_.size() == 1 && grid_.front().name.empty();
  if (one) folder_.WriteReport(report);
  folder_.WriteStats(outcome_.stats);
  WriteStatus(outcome_.stopped ? "stopped" : "finished");
  if (!context_.print) return;
  context_.print((one ? ResultsTable(report) + "\n" + TimingsTable(report) : SettingsTable(rows)) + "\n" +
                 StatsText(outcome_.stats));
}

// Queries that are there: of a bench they come one by one.
size_t Coordinator::Arrived() const {
  const double rate = context_.arrivals_per_second;
  return rate > 0 ? std::min(pending_.size(), static_cast<size_t>(Now() * rate) + 1) : pending_.size();
}

// How long to wait for a message before looking at deadlines and arrivals.
std::chrono::milliseconds Coordinator::Patience() const {
  const double rate = context_.arrivals_per_second;
  const double next = rate > 0 && Arrived() < pending_.size() ? static_cast<double>(Arrived()) / rate - Now() : 1;
  return std::chrono::milliseconds(std::clamp(static_cast<int64_t>(1000 * next) + 1, int64_t{1}, int64_t{100}));
}

// Rounds run ahead of the workers: whenever less than about a batch waits, the next one is started. The first is small,
// so that the workers start early.
void Coordinator::StartRounds() {
  const auto batch = static_cast<size_t>(plan_.settings.batch);
  const size_t workers = layout_.workers.size() * static_cast<size_t>(plan_.settings.queries_per_worker);
  const size_t arrived = Arrived();
  while (next_ < arrived && static_cast<size_t>(in_rounds_ + scheduler_.ready()) < batch + 2 * workers) {
    const size_t size = next_round_ == 0 ? std::min(batch, 4 * workers) : batch;
    const std::vector<int64_t> queries(pending_.begin() + static_cast<int64_t>(next_),
                                       pending_.begin() + static_cast<int64_t>(std::min(next_ + size, arrived)));
    next_ += queries.size();
    std::vector<int64_t> tasks;
    for (const int64_t query : queries) {
      for (const int setting : wanted_.at(query)) tasks.push_back(TaskOf(query, setting));
    }
    in_rounds_ += static_cast<int64_t>(tasks.size());
    for (const int64_t task : tasks) open_[task];
    StartRound(tasks);
  }
}

// tasks: rising.
void Coordinator::StartRound(const std::vector<int64_t>& tasks) {
  const int64_t round = next_round_++;
  if (!plan_.settings.query_embeddings.empty()) {
    SendRound(round, tasks);
  } else {
    SendEmbedding(round, &(embeddings_[round] = Embedding{tasks, 0, 0, {}}));
  }
}

// To the worker with the least to do that has not had this batch.
void Coordinator::SendEmbedding(int64_t round, Embedding* embedding) {
  std::optional<int> best;
  const auto load = [&](int w) {
    return 3 * std::count_if(embeddings_.begin(), embeddings_.end(),
                             [&](const auto& e) { return e.second.worker == w && e.first != round; }) +
           scheduler_.in_flight(w);
  };
  for (int w = 0; w < static_cast<int>(layout_.workers.size()); ++w) {
    if (embedding->tried.contains(w)) continue;
    if (!best || load(w) < load(*best)) best = w;
  }
  embedding->sent = Now();
  if (!best) return;  // every worker has it: one of them will answer
  embedding->worker = *best;
  embedding->tried.insert(*best);
  SendTexts(round, *embedding);
}

void Coordinator::SendTexts(int64_t round, const Embedding& embedding) {
  EmbedJob job{round, QueriesOf(embedding.tasks), {}, {}};
  for (const int64_t query : job.queries) {
    job.texts.push_back(queries_[static_cast<size_t>(query)].text);
    job.text_hashes.push_back(queries_[static_cast<size_t>(query)].text_hash);
  }
  SendMessage(world_, layout_.workers[static_cast<size_t>(embedding.worker)], kToWorker, job);
}

void Coordinator::ExpireEmbeddings() {
  for (auto& [round, embedding] : embeddings_) {
    if (Now() - embedding.sent > plan_.settings.task_timeout) SendEmbedding(round, &embedding);
  }
}

// tasks: rising. Each query with those of its settings that are among them.
void Coordinator::SendRound(int64_t round, const std::vector<int64_t>& tasks) {
  if (tasks.empty()) return;
  RoundJob job{round, {}};
  for (const int64_t task : tasks) {
    if (job.queries.empty() || job.queries.back().query != QueryOf(task))
      job.queries.push_back(QuestionOf(QueryOf(task)));
    job.queries.back().settings.push_back(SettingOf(task));
  }
  SendMessage(world_, layout_.shards.front(), kToShard, job);
}

// Without its settings.
RoundQuery Coordinator::QuestionOf(int64_t query) const {
  const Query& of = queries_[static_cast<size_t>(query)];
  RoundQuery question{query, of.number, of.text_hash, {}, {}, {}};
  if (tokenizer_) {
    question.text = of.text;
    question.tokens = tokenizer_->Encode(of.text, false);
  }
  return question;
}

// tasks: rising.
std::vector<int64_t> Coordinator::QueriesOf(const std::vector<int64_t>& tasks) const {
  std::vector<int64_t> queries;
  for (const int64_t task : tasks) {
    if (queries.empty() || queries.back() != QueryOf(task)) queries.push_back(QueryOf(task));
  }
  return queries;
}

void Coordinator::Dispatch() {
  while (const auto next = scheduler_.Next(Now())) SendTask(next->task, next->worker);
}

void Coordinator::SendTask(int64_t task, int worker) {
  const int64_t query = QueryOf(task);
  const Query& of = queries_[static_cast<size_t>(query)];
  TuneJob job{query, SettingOf(task), of.text, of.text_hash, open_.at(task).selected.training, std::nullopt};
  if (score_cache_) job.untuned = score_cache_->Find(ScoreKey(query, worker));
  SendMessage(world_, layout_.workers[static_cast<size_t>(worker)], kToWorker, job);
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

void Coordinator::OnEmbedDone(const EmbedDone& done) {
  const auto place = embeddings_.find(done.round);
  if (place == embeddings_.end()) return;  // a second worker's, after the first one's
  std::vector<int64_t> tasks = std::move(place->second.tasks);
  const int rank = layout_.workers[static_cast<size_t>(place->second.worker)];
  const double ms = done.ms / static_cast<double>(QueriesOf(tasks).size());
  embeddings_.erase(place);
  const auto in_round = [&](int64_t task) {  // false: another round was quicker
    const auto open = open_.find(task);
    return open != open_.end() && open->second.in_round;
  };
  for (const auto& [query, reason] : done.failed) {  // with all its settings
    for (const int64_t task : tasks) {
      if (QueryOf(task) != query || !in_round(task)) continue;
      --in_rounds_;
      GiveUp(task, reason, rank, 1);
    }
  }
  std::erase_if(tasks, [&](int64_t task) { return !in_round(task); });
  for (const int64_t task : tasks) open_.at(task).embed_ms = ms;
  SendRound(done.round, tasks);
}

void Coordinator::OnSelected(Selected selected) {
  const int64_t task = TaskOf(selected.query, selected.setting);
  const auto open = open_.find(task);
  if (open == open_.end() || !open->second.in_round) return;  // asked for again, and the first answer came after all
  if (selected.failure && selected.failure->code == kDamagedCode && ChooseAgain(task, selected.failure->message))
    return;
  --in_rounds_;
  open->second.in_round = false;
  if (selected.failure) return GiveUp(task, "selection: " + selected.failure->message, -1, 1);
  scheduler_.Add(task, Cost(selected));
  open->second.selected = std::move(selected);
}

// Tokens gone through forward, and twice as much for a gradient: proportional to a task's time.
double Coordinator::Cost(const Selected& selected) const {
  const worker::TuneSettings& tune = grid_[static_cast<size_t>(selected.setting)].tune;
  double cost = 2 * static_cast<double>(queries_[static_cast<size_t>(selected.query)].text.size()) /
                4;  // about four bytes a token, scored before and after
  for (const Training& training : selected.training) {
    const int refresh = tune.refresh == 0 ? training.count : tune.refresh;
    const int gradients = (training.count + refresh - 1) / refresh;
    cost += 3.0 * gradients *
            static_cast<double>(std::min<size_t>(training.tokens.size(), static_cast<size_t>(tune.max_length)));
  }
  return cost;
}

void Coordinator::OnTuneDone(const TuneDone& done, int rank) {
  const int worker = WorkerOf(rank);
  stages_[static_cast<size_t>(worker)].reset();
  const int64_t task = TaskOf(done.query, done.setting);
  const auto open = open_.find(task);
  const int attempts = scheduler_.attempts(task) + (open == open_.end() ? 0 : open->second.asked_again);
  if (done.failure) {
    const bool damaged = done.failure->code == kDamagedCode;
    if (damaged && open != open_.end() && !open->second.in_round && ChooseAgain(task, done.failure->message)) {
      scheduler_.Withdraw(task, worker, Now());
      return;
    }
    last_failure_[task] = done.failure->message;
    const Outcome outcome = scheduler_.Failed(task, worker, Now());
    if (outcome == Outcome::kRetry)
      spdlog::warn("query {} failed on rank {} and is tried again: {}", done.query, rank, done.failure->message);
    if (outcome == Outcome::kAccepted) GiveUp(task, done.failure->message, rank, attempts);
    return;
  }
  if (scheduler_.Finished(task, worker, Now()) != Outcome::kAccepted) return;
  HULLFT_CHECK(open != open_.end());
  if (score_cache_ && !done.untuned_given)
    score_cache_->Add(ScoreKey(done.query, worker), {done.before, done.tokens, done.windows});
  Row row = RowOf(task, open->second.selected, done, open->second.embed_ms);
  row.worker = rank;
  row.host = world_.hosts()[static_cast<size_t>(rank)];
  row.attempts = attempts;
  open_.erase(open);
  ++outcome_.finished;
  ++finished_by_[static_cast<size_t>(worker)];
  journal_->Append(row);
}

Row Coordinator::RowOf(int64_t task, const Selected& selected, const TuneDone& done, double embed_ms) const {
  const Query& of = queries_[static_cast<size_t>(QueryOf(task))];
  const auto bpb = [](const WireBpb& wire) {
    return Bpb{wire.rolling, wire.first_window, wire.log_likelihood, wire.log_likelihood_first_window};
  };
  Row row;
  row.key = of.keys[static_cast<size_t>(SettingOf(task))];
  row.run = grid_[static_cast<size_t>(SettingOf(task))].name;
  row.query = of.number;
  row.subset = of.subset;
  row.ok = true;
  row.text_hash = of.text_hash;
  row.ids = selected.ids;
  row.counts = selected.counts;
  row.weights = selected.weights;
  row.objective = selected.objective;
  row.gap = selected.gap;
  row.residual_norm = selected.residual_norm;
  row.rounded_residual_norm = selected.rounded_residual_norm;
  row.iterations = selected.iterations;
  row.stop = selected.stop;
  row.measures = selected.measures;
  row.pool = selected.pool;
  row.global = selected.global;
  row.pool_objective = selected.pool_objective;
  row.coverage = selected.coverage;
  row.guard = plan_.settings.guard;
  if (row.guard != "off") row.leak_threshold = plan_.settings.leak_threshold;
  row.leak_marked = selected.leak_marked;
  row.leak_dropped = selected.leak_dropped;
  row.leak_trained = selected.leak_trained;
  row.before = bpb(done.before);
  row.after = bpb(done.after);
  for (const WireMark& mark : done.marks) {
    row.marks.push_back({mark.n, mark.steps, mark.gradients, bpb(mark.bpb)});
    row.ms.tune_at.push_back(mark.tune_ms);
  }
  row.bytes = done.bytes;
  row.tokens = done.tokens;
  row.windows = done.windows;
  row.window = plan_.settings.tune.max_length;
  row.prefix_token = done.prefix_token;
  row.steps = done.steps;
  row.gradients = done.gradients;
  row.tokens_trained = done.tokens_trained;
  row.adapter = plan_.settings.adapter;
  row.ms.embed = embed_ms;
  row.ms.search = selected.search_ms;
  row.ms.select = selected.select_ms;
  row.ms.fetch = selected.fetch_ms;
  row.ms.score_before = done.score_before_ms;
  row.ms.tune = done.tune_ms;
  row.ms.score_after = done.score_after_ms;
  row.ms.score_before_cached = done.untuned_given;
  row.ms.pool_shared = selected.pool_shared;
  row.ms.ended = UnixSeconds() * 1000;
  return row;
}

void Coordinator::GiveUp(int64_t task, const std::string& reason, int rank, int attempts) {
  const Query& of = queries_[static_cast<size_t>(QueryOf(task))];
  Row row;
  row.key = of.keys[static_cast<size_t>(SettingOf(task))];
  row.run = grid_[static_cast<size_t>(SettingOf(task))].name;
  row.query = of.number;
  row.subset = of.subset;
  row.reason = last_failure_.contains(task) && rank < 0 ? reason + "; before that: " + last_failure_[task] : reason;
  row.worker = rank;
  row.attempts = attempts;
  if (rank >= 0) row.host = world_.hosts()[static_cast<size_t>(rank)];
  spdlog::warn("query {} ({}{}{}) failed: {}", of.number, of.subset, row.run.empty() ? "" : ", ", row.run, row.reason);
  open_.erase(task);
  ++outcome_.failed;
  journal_->Append(row);
}

int Coordinator::WorkerOf(int rank) const {
  const auto place = std::lower_bound(layout_.workers.begin(), layout_.workers.end(), rank);
  HULLFT_CHECK(place != layout_.workers.end() && *place == rank);
  return static_cast<int>(place - layout_.workers.begin());
}

void Coordinator::OnStage(const StageEvent& event, int rank) {
  // A task that came while another is worked on says so, and is not what the worker is at.
  std::optional<StageEvent>& last = stages_[static_cast<size_t>(WorkerOf(rank))];
  if (event.stage != Stage::kReceived || !last) last = event;
}

void Coordinator::OnBye(const Bye& bye, int rank) {
  (bye.worker ? worker_byes_ : shard_byes_).insert(rank);
  RankTraffic& traffic = traffic_[rank];
  if (bye.bytes_sent + bye.bytes_received < traffic.bytes_sent + traffic.bytes_received) return;  // the earlier role's
  traffic = {rank, bye.messages_sent, bye.messages_received, bye.bytes_sent, bye.bytes_received};
}

void Coordinator::ShowProgress() {
  (void)journal_->durable();  // ignored: the number; throws when the journal could not be written
  if (display_.Due(Now())) display_.Show(View());
  const std::string state = disk_.Full(Now()) ? "paused" : "running";
  if (Now() >= next_status_) WriteStatus(state);
  if (live_ && Now() >= next_live_) {
    live_->Show(Status(state));
    next_live_ = Now() + kLiveInterval;
  }
}

RunStatus Coordinator::Status(const std::string& state) const {
  return {state, world_.hosts().front(), UnixSeconds(), View()};
}

// A status that cannot be written must not end the run.
void Coordinator::WriteStatus(const std::string& state) {
  next_status_ = Now() + kStatusInterval;
  try {
    folder_.WriteStatus(Status(state));
  } catch (const Error& error) {
    spdlog::warn("{}", error.what());
  }
}

RunView Coordinator::View() const {
  RunView view;
  view.total = outcome_.queries;
  view.done_before = outcome_.skipped;
  view.done = outcome_.skipped + journal_->durable();
  view.failed = outcome_.failed;
  view.seconds = Now();
  view.in_rounds = in_rounds_;
  view.ready = scheduler_.ready();
  view.in_flight = scheduler_.in_flight();
  view.late = scheduler_.counters().late;
  for (size_t w = 0; w < layout_.workers.size(); ++w) {
    const auto worker = static_cast<int>(w);
    view.workers.push_back({layout_.workers[w], scheduler_.busy_share(worker, view.seconds),
                            scheduler_.in_flight(worker), scheduler_.suspect(worker), stages_[w]});
  }
  return view;
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
