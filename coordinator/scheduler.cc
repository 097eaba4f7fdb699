#include "coordinator/scheduler.h"

#include <algorithm>

#include "common/error.h"

namespace hullft::coordinator {

Scheduler::Scheduler(const SchedulerOptions& options)
    : options_(options), workers_(static_cast<size_t>(options.workers)) {
  HULLFT_CHECK(options.workers >= 1 && options.lanes >= 1 && options.in_flight >= 1 && options.retries >= 0);
}

void Scheduler::Add(int64_t task, double cost) {
  const auto [place, added] = tasks_.emplace(task, Task{});
  HULLFT_CHECK(added);
  place->second.cost = cost;
  ready_.insert({cost, task});
}

std::optional<int> Scheduler::PickWorker(const Task& task) const {
  std::optional<int> best;
  bool best_is_new = false, untried_exists = false;
  for (size_t w = 0; w < workers_.size(); ++w) {
    const Worker& worker = workers_[w];
    const bool is_new = !task.tried.contains(static_cast<int>(w));
    if (worker.suspect) continue;
    untried_exists = untried_exists || is_new;
    if (worker.queue.size() >= static_cast<size_t>(options_.in_flight) || task.running.contains(static_cast<int>(w)))
      continue;
    if (!best || (is_new && !best_is_new) ||
        (is_new == best_is_new && worker.queue.size() < workers_[static_cast<size_t>(*best)].queue.size())) {
      best = static_cast<int>(w);
      best_is_new = is_new;
    }
  }
  if (best && !best_is_new && untried_exists) return std::nullopt;  // wait for the other one
  return best;
}

std::optional<Assignment> Scheduler::Next(double now) {
  for (auto ready = ready_.begin(); ready != ready_.end(); ++ready) {
    Task& task = tasks_.at(ready->task);
    const std::optional<int> picked = PickWorker(task);
    if (!picked) {
      if (task.tried.empty()) return std::nullopt;  // no worker has room
      continue;
    }
    Worker& worker = workers_[static_cast<size_t>(*picked)];
    if (worker.queue.empty()) worker.busy_since = now;
    if (!started_) started_ = now;
    worker.queue.push_back({ready->task, task.cost, std::nullopt});
    BeginTasks(&worker, now);
    task.tried.insert(*picked);
    task.running.insert(*picked);
    ++task.attempts;
    const Assignment assignment{ready->task, *picked};
    ready_.erase(ready);
    return assignment;
  }
  return std::nullopt;
}

void Scheduler::BeginTasks(Worker* worker, double now) const {
  for (size_t i = 0; i < std::min(worker->queue.size(), static_cast<size_t>(options_.lanes)); ++i) {
    if (!worker->queue[i].since) worker->queue[i].since = now;
  }
}

std::optional<double> Scheduler::TakeOff(int64_t task, int worker, double now) {
  HULLFT_CHECK(worker >= 0 && worker < options_.workers);
  Worker& from = workers_[static_cast<size_t>(worker)];
  const auto place =
      std::find_if(from.queue.begin(), from.queue.end(), [&](const Held& held) { return held.task == task; });
  if (place == from.queue.end()) return std::nullopt;
  const double seconds = place->since ? now - *place->since : 0;
  from.queue.erase(place);
  BeginTasks(&from, now);
  from.suspect = false;  // it answered
  if (from.queue.empty()) from.busy_before += now - from.busy_since;
  return seconds;
}

Outcome Scheduler::Finished(int64_t task, int worker, double now) {
  const auto held = tasks_.find(task);
  const std::optional<double> seconds = TakeOff(task, worker, now);
  if (!seconds || held == tasks_.end()) {
    ++counters_.late;
    return Outcome::kLate;
  }
  if (held->second.cost > 0) slowest_rate_ = std::max(slowest_rate_, *seconds / held->second.cost);
  ready_.erase({held->second.cost, task});  // handed back at its deadline, but this worker was first after all
  tasks_.erase(held);
  ++counters_.finished;
  return Outcome::kAccepted;
}

bool Scheduler::EndAttempt(int64_t id, int worker, bool counts_as_failure) {
  Task& task = tasks_.at(id);
  task.running.erase(worker);
  if (counts_as_failure) ++task.failures;
  if (!task.running.empty()) return false;  // another attempt is out: it decides
  if (task.failures > options_.retries) {
    tasks_.erase(id);
    ++counters_.given_up;
    return true;
  }
  if (counts_as_failure) ++counters_.retried;
  ready_.insert({task.cost, id});
  return false;
}

Outcome Scheduler::Failed(int64_t task, int worker, double now) {
  const bool known = TakeOff(task, worker, now).has_value();
  const auto held = tasks_.find(task);
  if (!known || held == tasks_.end() || !held->second.running.contains(worker)) {
    ++counters_.late;
    return Outcome::kLate;
  }
  return EndAttempt(task, worker, true) ? Outcome::kAccepted : Outcome::kRetry;
}

void Scheduler::Withdraw(int64_t task, int worker, double now) {
  TakeOff(task, worker, now);
  const auto held = tasks_.find(task);
  if (held == tasks_.end()) return;
  ready_.erase({held->second.cost, task});
  tasks_.erase(held);
}

double Scheduler::Deadline(double cost) const {
  if (slowest_rate_ == 0) return std::max(options_.first_deadline, options_.min_deadline);
  return std::max(options_.min_deadline, options_.deadline_factor * slowest_rate_ * cost);
}

std::vector<int64_t> Scheduler::Expire(double now) {
  std::vector<int64_t> given_up;
  for (size_t w = 0; w < workers_.size(); ++w) {
    Worker& worker = workers_[w];
    const auto overdue = [&](const Held& held) { return held.since && now - *held.since > Deadline(held.cost); };
    if (worker.suspect || std::ranges::none_of(worker.queue, overdue)) continue;
    const bool another =
        std::count_if(workers_.begin(), workers_.end(), [](const Worker& x) { return !x.suspect; }) > 1;
    if (!another) continue;
    worker.suspect = true;
    for (const Held& held : worker.queue) {  // what waits behind would wait for ever: back too, without blame
      const auto task = tasks_.find(held.task);
      if (task == tasks_.end() || !task->second.running.contains(static_cast<int>(w))) continue;
      const bool blamed = overdue(held);
      if (blamed) ++counters_.expired;
      if (EndAttempt(held.task, static_cast<int>(w), blamed)) given_up.push_back(held.task);
    }
  }
  return given_up;
}

int64_t Scheduler::in_flight() const {
  int64_t total = 0;
  for (const auto& [id, task] : tasks_) total += static_cast<int64_t>(task.running.size());
  return total;
}

int64_t Scheduler::in_flight(int worker) const {
  return static_cast<int64_t>(workers_.at(static_cast<size_t>(worker)).queue.size());
}

std::vector<int64_t> Scheduler::HeldBy(int worker) const {
  std::vector<int64_t> tasks;
  for (const Held& held : workers_.at(static_cast<size_t>(worker)).queue) tasks.push_back(held.task);
  return tasks;
}

int Scheduler::attempts(int64_t task) const {
  const auto held = tasks_.find(task);
  return held == tasks_.end() ? 0 : held->second.attempts;
}

double Scheduler::busy_share(int worker, double now) const {
  if (!started_ || now <= *started_) return 0;
  const Worker& of = workers_.at(static_cast<size_t>(worker));
  return (of.busy_before + (of.queue.empty() ? 0 : now - of.busy_since)) / (now - *started_);
}

double Scheduler::busy_share(double now) const {
  double sum = 0;
  for (int w = 0; w < options_.workers; ++w) sum += busy_share(w, now);
  return sum / options_.workers;
}

}  // namespace hullft::coordinator
