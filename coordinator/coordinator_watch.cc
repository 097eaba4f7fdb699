// What is said about a run: while it goes on (display, status.json, page) and at its end.

#include "common/error.h"
#include "common/log.h"
#include "coordinator/coordinator.h"
#include "coordinator/run_status.h"

namespace hullft::coordinator {

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

}  // namespace hullft::coordinator
