// Tasks at the workers, and the rows that come of them.
#include <algorithm>

#include "common/error.h"
#include "common/log.h"
#include "coordinator/coordinator.h"
#include "coordinator/message_io.h"
#include "coordinator/run_status.h"

namespace hullft::coordinator {
namespace {

void Put(const Selected& selected, Row* row) {
  row->ids = selected.ids;
  row->counts = selected.counts;
  row->weights = selected.weights;
  row->objective = selected.objective;
  row->gap = selected.gap;
  row->residual_norm = selected.residual_norm;
  row->rounded_residual_norm = selected.rounded_residual_norm;
  row->iterations = selected.iterations;
  row->stop = selected.stop;
  row->measures = selected.measures;
  row->pool = selected.pool;
  row->global = selected.global;
  row->pool_objective = selected.pool_objective;
  row->coverage = selected.coverage;
  row->leak_marked = selected.leak_marked;
  row->leak_dropped = selected.leak_dropped;
  row->leak_trained = selected.leak_trained;
  row->ms.search = selected.search_ms;
  row->ms.select = selected.select_ms;
  row->ms.fetch = selected.fetch_ms;
  row->ms.pool_shared = selected.pool_shared;
}

Bpb FromWire(const WireBpb& wire) {
  return {wire.rolling, wire.first_window, wire.log_likelihood, wire.log_likelihood_first_window};
}

void Put(const TuneDone& done, Row* row) {
  row->before = FromWire(done.before);
  row->after = FromWire(done.after);
  for (const WireMark& mark : done.marks) {
    row->marks.push_back({mark.n, mark.steps, mark.gradients, FromWire(mark.bpb)});
    row->ms.tune_at.push_back(mark.tune_ms);
  }
  row->bytes = done.bytes;
  row->tokens = done.tokens;
  row->windows = done.windows;
  row->prefix_token = done.prefix_token;
  row->steps = done.steps;
  row->gradients = done.gradients;
  row->tokens_trained = done.tokens_trained;
  row->ms.score_before = done.score_before_ms;
  row->ms.tune = done.tune_ms;
  row->ms.score_after = done.score_after_ms;
  row->ms.score_before_cached = done.untuned_given;
}

}  // namespace

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

// Without an outcome.
Row Coordinator::EmptyRow(int64_t task) const {
  const Query& of = queries_[static_cast<size_t>(QueryOf(task))];
  Row row;
  row.key = of.keys[static_cast<size_t>(SettingOf(task))];
  row.run = grid_[static_cast<size_t>(SettingOf(task))].name;
  row.query = of.number;
  row.subset = of.subset;
  return row;
}

Row Coordinator::RowOf(int64_t task, const Selected& selected, const TuneDone& done, double embed_ms) const {
  Row row = EmptyRow(task);
  row.ok = true;
  row.text_hash = queries_[static_cast<size_t>(QueryOf(task))].text_hash;
  row.guard = plan_.settings.guard;
  if (row.guard != "off") row.leak_threshold = plan_.settings.leak_threshold;
  row.window = plan_.settings.tune.max_length;
  row.adapter = plan_.settings.adapter;
  Put(selected, &row);
  Put(done, &row);
  row.ms.embed = embed_ms;
  row.ms.ended = 1000 * UnixSeconds();
  return row;
}

void Coordinator::GiveUp(int64_t task, const std::string& reason, int rank, int attempts) {
  Row row = EmptyRow(task);
  row.reason = last_failure_.contains(task) && rank < 0 ? reason + "; before that: " + last_failure_[task] : reason;
  row.worker = rank;
  row.attempts = attempts;
  if (rank >= 0) row.host = world_.hosts()[static_cast<size_t>(rank)];
  spdlog::warn("query {} ({}{}{}) failed: {}", row.query, row.subset, row.run.empty() ? "" : ", ", row.run, row.reason);
  open_.erase(task);
  ++outcome_.failed;
  journal_->Append(row);
}

}  // namespace hullft::coordinator
