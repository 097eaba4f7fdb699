#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>

#include "common/error.h"
#include "common/progress.h"
#include "common/vector_check.h"
#include "coordinator/corpus_search.h"
#include "coordinator/message_io.h"
#include "coordinator/roles.h"
#include "index/node_copy.h"
#include "index/sequence_store.h"

namespace hullft::coordinator {
namespace {

// Stored targets are checked here, once: a worker's encoder has its own check.
void CheckStored(const NpyFile& file, const std::string& path, int dim) {
  const auto& shape = file.shape();
  if (shape.size() != 2 || shape[1] != dim) {
    std::string text;
    for (const int64_t n : shape) text += (text.empty() ? "" : " x ") + std::to_string(n);
    throw Error(Code::kData, fmt::format("{} has shape {}, the corpus' embeddings have width {}", path, text, dim),
                "embed the queries with the encoder the corpus was built with");
  }
  const auto place = [](int64_t row) { return fmt::format("row {}", row); };
  WarnUnlessUnit(CheckVectors(file.values(), dim, path, place), path, place);
}

// Copies the partitions that are not there yet, and returns where to open each. May leave some out (allow_partial).
class PartitionOpener {
 public:
  PartitionOpener(const RunSettings& settings, const index::CorpusInfo& corpus, const std::string& host, bool shows)
      : settings_(settings), corpus_(corpus), host_(host), shows_(shows) {}

  std::vector<std::unique_ptr<index::Partition>> Open(const std::vector<int>& numbers) {
    if (!settings_.stage.empty()) {
      progress_ = std::make_unique<Progress>("copying partitions to " + settings_.stage, "MB", 0, 0, shows_);
    }
    const auto cache = std::make_shared<index::BlockCache>(std::llround(1e6 * settings_.block_cache_mb));
    std::vector<std::unique_ptr<index::Partition>> partitions;
    for (const int number : numbers) {
      try {
        partitions.push_back(index::Partition::Open(Place(number), number, cache));
      } catch (const Error& error) {
        const std::string prefix = fmt::format("partition {} on {}", number, host_);
        const std::string text =
            error.message().starts_with("partition ") ? error.message() : prefix + ": " + error.message();
        if (!settings_.allow_partial || error.code() != Code::kData)
          throw Error(error.code(), text, error.hint(), error.where());
        spdlog::warn("going on without a part of the corpus: {}", text);
      }
    }
    if (partitions.empty()) {
      throw Error(Code::kData, fmt::format("none of the partitions of the shard on {} can be opened", host_),
                  "build the corpus again, or use fewer hosts");
    }
    return partitions;
  }

 private:
  std::filesystem::path Place(int number) {
    if (settings_.stage.empty()) return corpus_.folder;
    return index::StagePartition(corpus_.folder, number, settings_.stage, {[&](int64_t bytes) {
                                   copied_ += bytes;
                                   progress_->Add(copied_ / kMegabyte);
                                   copied_ %= kMegabyte;
                                 }});
  }

  static constexpr int64_t kMegabyte = 1'000'000;
  const RunSettings& settings_;
  const index::CorpusInfo& corpus_;
  const std::string host_;
  const bool shows_;
  std::unique_ptr<Progress> progress_;
  int64_t copied_ = 0;  // bytes not shown yet
};

}  // namespace

ShardRole::ShardRole(comm::Communicator& world, const Layout& layout, const RunSettings& settings,
                     const index::CorpusInfo& corpus, int threads)
    : world_(world),
      shards_(layout.shards),
      self_(layout.ranks[static_cast<size_t>(world.rank())].shard_index),
      dim_(corpus.dim) {
  PartitionOpener opener(settings, corpus, world.hosts()[static_cast<size_t>(world.rank())],
                         self_ == 0 && !settings.quiet);
  partitions_ = opener.Open(layout.partitions[static_cast<size_t>(self_)]);
  if (settings.paranoid) {
    for (const auto& partition : partitions_) partition->CheckEveryRead();
  }
  if (self_ == 0 && !settings.query_embeddings.empty()) {
    stored_ = std::make_unique<NpyFile>(settings.query_embeddings);
    CheckStored(*stored_, settings.query_embeddings, dim_);
  }
  round_settings_.pool = settings.pool == "global" ? PoolMode::kGlobal
                         : settings.pool == "both" ? PoolMode::kBoth
                                                   : PoolMode::kKnn;
  round_settings_.sequences = corpus.sequences;
  round_settings_.k = settings.k;
  round_settings_.margin = settings.margin;
  round_settings_.search_effort = SearchEffort(settings, corpus);
  round_settings_.guard = GuardModeFromName(settings.guard);
  round_settings_.leak_threshold = settings.leak_threshold;
  round_settings_.selects.clear();
  for (const RunSetting& setting : settings.Grid()) round_settings_.selects.push_back(setting.select);
  round_settings_.threads = threads;
}

int64_t ShardRole::open_sequences() const {
  int64_t sequences = 0;
  for (const auto& partition : partitions_) sequences += partition->info().sequences;
  return sequences;
}

void ShardRole::SetCoverage(double coverage) {
  round_settings_.coverage = coverage;
  round_settings_.sequences = std::llround(coverage * static_cast<double>(round_settings_.sequences));
  round_ = std::make_unique<Round>(world_, shards_, self_, partitions_, round_settings_);
}

void ShardRole::Run() {
  const int tags[] = {kToShard, kSayAgain};
  while (!stopped_) {
    if (const auto envelope = world_.Receive(comm::kAnySource, tags, comm::After(std::chrono::seconds(1))))
      Handle(*envelope);
    StartRounds();
  }
  SendMessage(world_, 0, kToCoordinator, MakeBye(world_, /*worker=*/false));
}

void ShardRole::Handle(const comm::Envelope& envelope) {
  if (!comm::wire::Whole(envelope.payload)) return OnDamaged(envelope);
  if (envelope.tag == kSayAgain) return round_->Repeat(envelope);
  switch (TypeOf(world_, envelope)) {
    case RoundJob::kType:
      jobs_.push_back(Decode<RoundJob>(world_, envelope));
      break;
    case Targets::kType: {
      auto targets = Decode<Targets>(world_, envelope);
      if (!done_rounds_.contains(targets.round)) targets_.insert_or_assign(targets.round, std::move(targets));
      break;
    }
    case RoundWork::kType:
      DoRound(Decode<RoundWork>(world_, envelope));
      break;
    case Stop::kType:
      stopped_ = true;
      break;
    default:
      ThrowUnexpected(world_, envelope);
  }
}

// Jobs and targets come to the first shard, from coordinator and workers; the others get their work from the first.
void ShardRole::OnDamaged(const comm::Envelope& envelope) {
  if (envelope.tag == kToShard && WasStop(envelope)) {
    stopped_ = true;
  } else if (envelope.tag == kToShard && self_ == 0) {
    SendMessage(world_, 0, kToCoordinator, Damaged{/*worker=*/false, {}, {}});
  } else {
    round_->AskAgain(envelope);
  }
}

std::vector<float> ShardRole::StoredTargets(const RoundJob& job) const {
  const auto d = static_cast<size_t>(dim_);
  std::vector<float> values;
  for (const RoundQuery& query : job.queries) {
    const auto row = stored_->values().subspan(static_cast<size_t>(query.record) * d, d);
    values.insert(values.end(), row.begin(), row.end());
  }
  return values;
}

void ShardRole::StartRounds() {
  for (auto job = jobs_.begin(); job != jobs_.end() && !stopped_;) {
    RoundWork work{job->round, job->queries, {}};
    if (stored_) {
      work.targets = StoredTargets(*job);
    } else {
      // A worker's targets may hold fewer queries than it was given, never others; the job names those that came
      // through.
      const auto targets = targets_.find(job->round);
      if (targets == targets_.end()) {
        ++job;
        continue;
      }
      const auto d = static_cast<size_t>(dim_);
      const Targets& came = targets->second;
      if (came.values.size() != came.queries.size() * d) {
        throw Error(Code::kPeer, fmt::format("round {}: {} values came for {} targets of width {}", job->round,
                                             came.values.size(), came.queries.size(), d));
      }
      for (const RoundQuery& query : job->queries) {
        const auto place = std::find(came.queries.begin(), came.queries.end(), query.query) - came.queries.begin();
        HULLFT_CHECK(static_cast<size_t>(place) < came.queries.size());
        const auto begin = came.values.begin() + place * static_cast<int64_t>(d);
        work.targets.insert(work.targets.end(), begin, begin + static_cast<int64_t>(d));
      }
      targets_.erase(targets);
    }
    done_rounds_.insert(job->round);
    job = jobs_.erase(job);
    round_->Announce(work);
    DoRound(work);
  }
}

void ShardRole::DoRound(const RoundWork& work) {
  for (const Selected& selected : round_->Run(work)) SendMessage(world_, 0, kToCoordinator, selected);
}

}  // namespace hullft::coordinator
