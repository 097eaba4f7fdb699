// Which task goes to which worker, and what becomes of tasks that fail or never come back: pure logic over event times.
//
// Not a thread, no communication, no clock: every function that depends on time takes `now` in seconds. Rules:
// - The longest ready task first, to the worker with the fewest tasks in flight, at most `in_flight` each; a task that
// was
//   handed back goes to a worker that has not had it, if any such worker exists.
// - A task's time is cost times the slowest rate seen so far; its deadline is deadline_factor times that, and at least
//   min_deadline, from the moment its worker began it (first_deadline while no rate is known): a worker works on the
//   first `lanes` of what it holds.
// - A task past its deadline goes to another worker, the first result wins and the late one is dropped and counted; the
//   worker gets nothing new until it answers. Without another worker that answers, there is no one to give it to: it
//   waits.
// - A task that failed is retried `retries` times, then given up. Every task ends exactly once: finished or given up.
// Not thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <vector>

namespace hullft::coordinator {

struct SchedulerOptions {
  int workers = 1;
  int lanes = 1;      // tasks that a worker does at a time, in the order handed out
  int in_flight = 2;  // more than lanes: a worker never waits for the coordinator
  int retries = 1;
  double deadline_factor = 10;   // over the slowest rate seen: a machine under load must not lose its tasks
  double min_deadline = 60;      // s
  double first_deadline = 3600;  // s
};

struct Assignment {
  int64_t task = 0;
  int worker = 0;
};

enum class Outcome {
  kAccepted,  // this result, or this failure, is the task's end
  kRetry,     // failed, and waits for another attempt
  kLate,      // the task had ended already, or this attempt was not known: drop it
};

struct SchedulerCounters {
  int64_t finished = 0, given_up = 0, retried = 0, expired = 0, late = 0;
};

class Scheduler {
 public:
  explicit Scheduler(const SchedulerOptions& options);

  // cost: any unit that is proportional to time, e.g. tokens times gradients. Each id at most once.
  void Add(int64_t task, double cost);
  // The next task to hand out, which then counts as in flight; nothing when no worker is free or no task is ready.
  std::optional<Assignment> Next(double now);
  Outcome Finished(int64_t task, int worker, double now);
  Outcome Failed(int64_t task, int worker, double now);
  // Forgets a task that this worker answered, as if it had never been added; it may be added again. What another worker
  // still makes of it is late.
  void Withdraw(int64_t task, int worker, double now);
  // Takes back tasks whose deadline has passed. Returns those that are given up as no attempt is left; the others are
  // ready.
  std::vector<int64_t> Expire(double now);

  int64_t ready() const { return static_cast<int64_t>(ready_.size()); }
  int64_t open() const { return static_cast<int64_t>(tasks_.size()); }  // added, not ended
  int64_t in_flight() const;                                            // attempts out, of tasks that have not ended
  int64_t in_flight(int worker) const;
  std::vector<int64_t> HeldBy(int worker) const;  // handed out to it and not answered, in order
  int attempts(int64_t task) const;               // handed out so far; 0 for a task that has ended
  // Of all workers' time, or of one's, since the first task was handed out: 0 to 1.
  double busy_share(double now) const;
  double busy_share(int worker, double now) const;
  bool suspect(int worker) const { return workers_.at(static_cast<size_t>(worker)).suspect; }
  const SchedulerCounters& counters() const { return counters_; }

 private:
  struct Task {
    double cost = 0;
    int attempts = 0, failures = 0;
    std::set<int> tried;    // workers that had it
    std::set<int> running;  // workers that have it and are not past their deadline
  };
  struct Held {
    int64_t task;
    double cost;
    std::optional<double> since;  // s: when the worker began it
  };
  struct Worker {
    std::deque<Held> queue;                  // handed out and not answered, in order; the first ones are worked on
    bool suspect = false;                    // one of these passed the deadline
    double busy_since = 0, busy_before = 0;  // s: with a queue since, and all earlier such times together
  };
  struct ByCost {
    double cost;
    int64_t task;
    bool operator<(const ByCost& other) const { return cost != other.cost ? cost > other.cost : task < other.task; }
  };
  // Takes the task off the worker's queue: the seconds it took when it was being worked on (else 0), nothing when not
  // there.
  std::optional<double> TakeOff(int64_t task, int worker, double now);
  std::optional<int> PickWorker(const Task& task) const;
  double Deadline(double cost) const;
  void BeginTasks(Worker* worker, double now) const;
  // An attempt ended without a result. True when the task is given up.
  bool EndAttempt(int64_t id, int worker, bool counts_as_failure);

  const SchedulerOptions options_;
  std::map<int64_t, Task> tasks_;
  std::set<ByCost> ready_;
  std::vector<Worker> workers_;
  double slowest_rate_ = 0;  // seconds per unit of cost
  std::optional<double> started_;
  SchedulerCounters counters_;
};

}  // namespace hullft::coordinator
