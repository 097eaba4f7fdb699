// How queries come to the shards and back: batches, their embedding, the rounds, and what they choose. Rounds run ahead
// of the workers.
#include <algorithm>

#include "common/error.h"
#include "coordinator/coordinator.h"
#include "coordinator/message_io.h"

namespace hullft::coordinator {

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

}  // namespace hullft::coordinator
