#include <algorithm>
#include <chrono>
#include <thread>

#include "common/error.h"
#include "common/hash.h"
#include "common/log.h"
#include "coordinator/message_io.h"
#include "coordinator/roles.h"
#include "index/sequence_sums.h"

namespace hullft::coordinator {
namespace {

// What a task brings must be what the corpus and the queries held when they were read first.
std::optional<Failure> DamageOf(const TuneJob& job) {
  const auto damage = [&](const std::string& what) {
    return Failure{kDamagedCode, fmt::format("{} of query {} changed on its way to the worker", what, job.query), ""};
  };
  if (HashHex(job.text) != job.text_hash) return damage("the text");
  for (size_t i = 0; i < job.training.size(); ++i) {
    const Training& training = job.training[i];
    if (index::SumOf(std::span<const int32_t>(training.tokens)) != training.sum)
      return damage(fmt::format("training sequence {}", i));
  }
  return std::nullopt;
}

bool Arrived(const EmbedJob& job) {
  bool whole = job.texts.size() == job.text_hashes.size();
  for (size_t i = 0; whole && i < job.texts.size(); ++i) whole = HashHex(job.texts[i]) == job.text_hashes[i];
  return whole;
}

}  // namespace

void WorkerRole::Run() {
  std::vector<std::thread> threads;
  for (int lane = 0; lane < tasks_.lanes(); ++lane) threads.emplace_back([this, lane] { WorkLane(lane); });
  const int tags[] = {kToWorker};
  std::exception_ptr failure;
  const auto stopped = [this] {
    const std::lock_guard lock(mutex_);
    return stopped_;
  };
  try {
    while (!stopped()) {
      if (const auto envelope = world_.Receive(comm::kAnySource, tags, comm::After(std::chrono::seconds(1))))
        Handle(*envelope);
    }
  } catch (...) {
    failure = std::current_exception();
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  work_.notify_all();
  for (std::thread& thread : threads) thread.join();
  if (failure || failure_) std::rethrow_exception(failure ? failure : failure_);
  SendMessage(world_, 0, kToCoordinator, MakeBye(world_, /*worker=*/true));
}

void WorkerRole::WorkLane(int lane) {
  try {
    while (DoNext(lane)) {
    }
  } catch (...) {
    const std::lock_guard lock(mutex_);
    failure_ = std::current_exception();
    stopped_ = true;
    work_.notify_all();
  }
}

// Embeddings overtake tasks: all other workers wait for what comes of them.
bool WorkerRole::DoNext(int lane) {
  std::unique_lock lock(mutex_);
  const auto may_embed = [this] { return !embeddings_.empty() && !embedding_; };
  work_.wait(lock, [&] { return stopped_ || may_embed() || !jobs_.empty(); });
  if (stopped_) return false;
  if (may_embed()) {
    const EmbedJob job = std::move(embeddings_.front());
    embeddings_.pop_front();
    embedding_ = true;
    lock.unlock();
    Embed(job);
    lock.lock();
    embedding_ = false;
    work_.notify_one();  // another lane may have passed over the next one
    return true;
  }
  const TuneJob job = std::move(jobs_.front());
  jobs_.pop_front();
  const int64_t number = ++tasks_begun_;
  working_.emplace(job.query, job.setting);
  lock.unlock();
  SendMessage(world_, 0, kToCoordinator, Tune(job, number, lane));
  lock.lock();
  working_.erase({job.query, job.setting});
  return true;
}

void WorkerRole::Handle(const comm::Envelope& envelope) {
  const std::lock_guard lock(mutex_);
  work_.notify_one();
  if (!comm::wire::Whole(envelope.payload)) return OnDamaged(envelope);
  switch (TypeOf(world_, envelope)) {
    case EmbedJob::kType:
      embeddings_.push_back(Decode<EmbedJob>(world_, envelope));
      if (!Arrived(embeddings_.back())) {
        embeddings_.pop_back();
        OnDamaged(envelope);
      }
      break;
    case TuneJob::kType:
      jobs_.push_back(Decode<TuneJob>(world_, envelope));
      Report({jobs_.back().query, Stage::kReceived, 0, 0});
      break;
    case Stop::kType:
      stopped_ = true;
      break;
    default:
      ThrowUnexpected(world_, envelope);
  }
}

// The mutex is held.
void WorkerRole::OnDamaged(const comm::Envelope& envelope) {
  if (WasStop(envelope)) {
    stopped_ = true;
    return;
  }
  spdlog::warn("a message to rank {} came damaged and is asked for again", world_.rank());
  Damaged damaged;
  damaged.tasks.assign(working_.begin(), working_.end());
  for (const TuneJob& job : jobs_) damaged.tasks.emplace_back(job.query, job.setting);
  for (const EmbedJob& job : embeddings_) damaged.rounds.push_back(job.round);
  SendMessage(world_, 0, kToCoordinator, damaged);
}

// The vectors go straight to the first shard, the coordinator only learns that they are there. When the batch fails,
// each text is tried alone: only those fail that are to blame.
void WorkerRole::Embed(const EmbedJob& job) {
  const auto start = std::chrono::steady_clock::now();
  const auto d = static_cast<size_t>(tasks_.dim());
  Targets targets{job.round, job.queries, std::vector<float>(job.texts.size() * d)};
  EmbedDone done;
  done.round = job.round;
  try {
    tasks_.Embed(std::vector<std::string_view>(job.texts.begin(), job.texts.end()), targets.values);
  } catch (const std::exception&) {  // ignored: each text that is to blame fails again below, and says why
    targets.queries.clear();
    targets.values.clear();
    std::vector<float> one(d);
    for (size_t i = 0; i < job.texts.size(); ++i) {
      try {
        const std::string_view text = job.texts[i];
        tasks_.Embed({&text, 1}, one);
        targets.queries.push_back(job.queries[i]);
        targets.values.insert(targets.values.end(), one.begin(), one.end());
      } catch (const std::exception& error) {
        done.failed.emplace_back(job.queries[i], std::string("embedding: ") + Failure::From(error).message);
      }
    }
  }
  done.ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  SendMessage(world_, first_shard_, kToShard, targets);
  SendMessage(world_, 0, kToCoordinator, done);
}

TuneDone WorkerRole::Tune(const TuneJob& job, int64_t number, int lane) {
  TuneDone done;
  hooks_.BeforeTask(world_.rank(), number);
  try {
    done.failure = DamageOf(job);
    if (!done.failure) {
      done = tasks_.Tune(lane, job, [&](Stage stage, int64_t step, int64_t steps) {
        Report({job.query, stage, step, steps});
      });
    }
  } catch (const std::exception& error) {  // c10::Error and std::bad_alloc among them: the worker lives on
    done.failure = Failure::From(error);
  }
  done.query = job.query;
  done.setting = job.setting;
  return done;
}

// At most one event per interval: the display is redrawn no faster, and rank 0 has better things to do.
void WorkerRole::Report(const StageEvent& event) {
  const auto now = comm::Clock::now();
  {
    const std::lock_guard lock(event_mutex_);
    if (now < next_event_) return;
    next_event_ = now + std::max<comm::Clock::duration>(kEventInterval, world_.size() * std::chrono::milliseconds(2));
  }
  SendMessage(world_, 0, kToCoordinator, event);
}

}  // namespace hullft::coordinator
