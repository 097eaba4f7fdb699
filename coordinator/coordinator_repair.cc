// What the coordinator does when something came damaged: it asks for it again. Everything that may come twice then is
// dropped the second time, as after a deadline.
#include <algorithm>

#include "common/error.h"
#include "common/log.h"
#include "coordinator/coordinator.h"
#include "coordinator/message_io.h"

namespace hullft::coordinator {
namespace {

constexpr int64_t kMostDamaged = 1000;  // in a run: more is no accident, and asking again would not end
constexpr int kMostAskedAgain = 3;      // for one task

template <class T>
bool Has(const std::vector<T>& list, const T& value) {
  return std::ranges::find(list, value) != list.end();
}

}  // namespace

void Coordinator::CountDamage(int rank) {
  const std::string& host = world_.hosts()[static_cast<size_t>(rank)];
  if (++damaged_ > kMostDamaged) {
    throw Error(Code::kPeer, fmt::format("{} messages came damaged, the last from rank {} on {}", damaged_, rank, host),
                "test that machine's memory and network; the run goes on from its journal when started again");
  }
  spdlog::warn("something from rank {} on {} came damaged and is asked for again", rank, host);
}

// Nothing can be believed of the message: all that the rank still owes is asked for again.
void Coordinator::OnDamaged(int rank) {
  CountDamage(rank);
  const auto worker = std::ranges::find(layout_.workers, rank);
  const bool shard = std::ranges::find(layout_.shards, rank) != layout_.shards.end();
  if (stopping_) {  // its last word, most likely
    const bool from_worker = worker != layout_.workers.end() && !worker_byes_.contains(rank);
    (from_worker ? worker_byes_ : shard_byes_).insert(rank);
    return;
  }
  if (worker != layout_.workers.end()) SendAgain(static_cast<int>(worker - layout_.workers.begin()), Damaged{});
  if (shard) AskRoundsAgain();
}

void Coordinator::OnDamagedAtRole(const Damaged& damaged, int rank) {
  CountDamage(rank);
  if (stopping_) return SendMessage(world_, rank, damaged.worker ? kToWorker : kToShard, Stop{});
  if (damaged.worker) {
    SendAgain(WorkerOf(rank), damaged);
  } else {
    AskRoundsAgain();
  }
}

// has: what the worker says it has.
void Coordinator::SendAgain(int worker, const Damaged& has) {
  for (const int64_t task : scheduler_.HeldBy(worker)) {
    const auto open = open_.find(task);
    if (open != open_.end() && !open->second.in_round && !Has(has.tasks, {QueryOf(task), SettingOf(task)}))
      SendTask(task, worker);
  }
  for (const auto& [round, embedding] : embeddings_) {
    if (embedding.worker == worker && !Has(has.rounds, round)) SendTexts(round, embedding);
  }
}

void Coordinator::AskRoundsAgain() {
  std::vector<int64_t> tasks;
  for (const auto& [task, open] : open_) {
    if (open.in_round) tasks.push_back(task);
  }
  if (!tasks.empty()) StartRound(tasks);
}

// A round for one task whose tokens or embeddings changed after they were read; the query's other settings go on with
// what they have. False: it was asked for often enough.
bool Coordinator::ChooseAgain(int64_t task, const std::string& why) {
  Open& open = open_.at(task);
  if (open.asked_again == kMostAskedAgain) return false;
  ++open.asked_again;
  const std::string& setting = grid_[static_cast<size_t>(SettingOf(task))].name;
  spdlog::warn("query {}{}{} is chosen for again: {}", queries_[static_cast<size_t>(QueryOf(task))].number,
               setting.empty() ? "" : ", ", setting, why);
  if (!open.in_round) ++in_rounds_;
  open.in_round = true;
  StartRound({task});
  return true;
}

}  // namespace hullft::coordinator
