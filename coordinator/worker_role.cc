#include <algorithm>
#include <chrono>
#include <thread>

#include "common/error.h"
#include "coordinator/roles.h"
#include "worker/device.h"
#include "worker/memory_plan.h"

namespace hullft::coordinator {
namespace {

WireBpb ToWire(const worker::Score& score) {
  return {score.bpb.value_or(0), score.bpb_first_window.value_or(0), score.log_likelihood,
          score.log_likelihood_first_window};
}

std::optional<worker::Score> FromWire(const std::optional<UntunedScore>& wire, int64_t bytes) {
  if (!wire) return std::nullopt;
  worker::Score score;
  score.log_likelihood = wire->bpb.log_likelihood;
  score.tokens = wire->tokens;
  score.bytes = bytes;
  score.bpb = wire->bpb.rolling;
  score.log_likelihood_first_window = wire->bpb.log_likelihood_first_window;
  score.bpb_first_window = wire->bpb.first_window;
  score.windows = wire->windows;
  return score;
}

}  // namespace

WorkerRole::WorkerRole(comm::Communicator& world, const Layout& layout, const RunSettings& settings, int threads)
    : world_(world),
      first_shard_(layout.shards.front()),
      settings_(settings),
      threads_(threads / settings.queries_per_worker) {
  tokenizer_ = Tokenizer::Load(settings.model);
  if (!settings.encoder.empty())
    encoder_ =
        worker::Encoder::Load({.model_dir = settings.encoder, .max_length = 0, .threads = std::max(1, threads_)});
}

void WorkerRole::LoadTuner(const worker::WeightExchange& exchange) {
  worker::TunerOptions options;
  options.model_dir = settings_.model;
  options.device = worker::ChooseDevice(settings_.device, exchange.node.rank);
  options.threads = std::max(1, threads_);
  options.precision = settings_.precision;
  options.check_weights = settings_.check_weights;
  options.own_stream = settings_.queries_per_worker > 1;
  worker::Together(exchange.all, exchange.host, [&] {
    const c10::Device device = worker::ParseDevice(options.device);
    if (device.is_cpu() && threads_ < 1) {
      throw Error(Code::kUsage,
                  fmt::format("--queries-per-worker {}: a worker on {} has fewer threads than that",
                              settings_.queries_per_worker, exchange.host),
                  "one thread a query is the least: fewer queries, fewer workers or more --threads");
    }
    const int sharers = device.is_cpu() ? exchange.node.size : 1;
    worker::CheckMemory(worker::PlanMemory(worker::ReadModelShape(settings_.model), settings_.tune.max_length, sharers,
                                           settings_.queries_per_worker),
                        worker::FreeMemory(device), device.is_cpu() ? "host " + exchange.host : device.str());
  });
  lanes_.push_back(worker::LoadTunerShared(options, exchange));
  while (static_cast<int>(lanes_.size()) < settings_.queries_per_worker) {
    lanes_.push_back(worker::Tuner::Load(options, worker::SharedBase(lanes_.front())));
  }
  if (settings_.tune.max_length > lanes_.front()->max_positions()) {
    throw Error(Code::kUsage,
                fmt::format("--max-length {} is more than the {} positions of {}", settings_.tune.max_length,
                            lanes_.front()->max_positions(), settings_.model),
                fmt::format("--max-length {} or less", lanes_.front()->max_positions()));
  }
}

void WorkerRole::Run() {
  std::vector<std::thread> threads;
  for (const auto& tuner : lanes_) threads.emplace_back([this, &tuner] { WorkLane(tuner.get()); });
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
  SendMessage(world_, 0, kToCoordinator, Bye{});
}

void WorkerRole::WorkLane(worker::Tuner* tuner) {
  try {
    while (DoNext(tuner)) {
    }
  } catch (...) {
    const std::lock_guard lock(mutex_);
    failure_ = std::current_exception();
    stopped_ = true;
    work_.notify_all();
  }
}

// Embeddings overtake tasks: all other workers wait for what comes of them.
bool WorkerRole::DoNext(worker::Tuner* tuner) {
  std::unique_lock lock(mutex_);
  const auto may_embed = [this] { return !embeddings_.empty() && !embedding_; };
  work_.wait(lock, [&] { return stopped_ || may_embed() || !tasks_.empty(); });
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
  const TuneJob job = std::move(tasks_.front());
  tasks_.pop_front();
  const int64_t number = ++tasks_begun_;
  lock.unlock();
  SendMessage(world_, 0, kToCoordinator, Tune(job, number, tuner));
  return true;
}

void WorkerRole::Handle(const comm::Envelope& envelope) {
  const std::lock_guard lock(mutex_);
  work_.notify_one();
  switch (TypeOf(world_, envelope)) {
    case EmbedJob::kType:
      embeddings_.push_back(Decode<EmbedJob>(world_, envelope));
      break;
    case TuneJob::kType:
      tasks_.push_back(Decode<TuneJob>(world_, envelope));
      break;
    case Stop::kType:
      stopped_ = true;
      break;
    default:
      ThrowUnexpected(world_, envelope);
  }
}

// The vectors go straight to the first shard, the coordinator only learns that they are there. When the batch fails,
// each text is tried alone: only those fail that are to blame.
void WorkerRole::Embed(const EmbedJob& job) {
  const auto start = std::chrono::steady_clock::now();
  const auto d = static_cast<size_t>(encoder_->dim());
  Targets targets{job.round, job.queries, std::vector<float>(job.texts.size() * d)};
  EmbedDone done;
  done.round = job.round;
  try {
    encoder_->Embed(std::vector<std::string_view>(job.texts.begin(), job.texts.end()), targets.values);
  } catch (const std::exception&) {
    targets.queries.clear();
    targets.values.clear();
    std::vector<float> one(d);
    for (size_t i = 0; i < job.texts.size(); ++i) {
      try {
        const std::string_view text = job.texts[i];
        encoder_->Embed({&text, 1}, one);
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

TuneDone WorkerRole::Tune(const TuneJob& job, int64_t number, worker::Tuner* tuner) {
  TuneDone done;
  done.query = job.query;
  hooks_.BeforeTask(world_.rank(), number);
  try {
    std::vector<worker::TrainSequence> train;
    for (const Training& training : job.training) train.push_back({training.tokens, training.count});
    const auto bytes = static_cast<int64_t>(job.text.size());
    const std::vector<worker::EvalDocument> eval = {
        {tokenizer_->Encode(job.text, false), bytes, FromWire(job.untuned, bytes)}};
    const worker::TuneResult result = tuner->Run(settings_.tune, train, eval);
    done.before = ToWire(result.before.at(0));
    done.after = ToWire(result.after.at(0));
    for (const worker::Mark& mark : result.marks) {
      done.marks.push_back({mark.n, mark.steps, mark.gradients, mark.tune_ms, ToWire(mark.scores.at(0))});
    }
    done.untuned_given = job.untuned.has_value();
    done.bytes = bytes;
    done.tokens = result.after[0].tokens;
    done.windows = result.after[0].windows;
    done.prefix_token = settings_.tune.prefix_token >= 0 ? settings_.tune.prefix_token : tuner->default_prefix_token();
    done.steps = static_cast<int64_t>(result.steps.size());
    done.gradients = result.gradients_computed;
    done.tokens_trained = result.tokens_trained;
    done.score_before_ms = job.untuned ? 0 : result.score_before_ms;
    done.tune_ms = result.tune_ms;
    done.score_after_ms = result.score_after_ms;
  } catch (const std::exception& error) {  // c10::Error and std::bad_alloc among them: the worker lives on
    done.failure = Failure::From(error);
  }
  return done;
}

}  // namespace hullft::coordinator
