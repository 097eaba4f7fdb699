#include "index/build_embed.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <thread>

#include "common/error.h"
#include "common/files.h"
#include "common/hash.h"
#include "common/parallel.h"
#include "index/build_folder.h"
#include "index/embedding_log.h"
#include "index/manifest.h"
#include "index/partition_writer.h"
#include "index/staging.h"

namespace hullft::index {
namespace {
namespace fs = std::filesystem;

constexpr int64_t kTokenizedAtATime = 4096;     // texts with given embeddings
constexpr std::chrono::milliseconds kLook{50};  // between two looks at whether the step is over

// Texts for another rank to tokenize and embed; no texts: there are none left.
struct Work {
  int32_t partition = 0;
  int64_t first = 0;  // row in the partition
  std::vector<std::string> texts;
  template <class A>
  void Wire(A& a) {
    a(partition, first, texts);
  }
};

struct Made {
  int32_t partition = -1;  // -1: nothing; only asks for work
  int64_t first = 0;
  std::vector<std::vector<int32_t>> tokens;
  std::vector<float> vectors;  // row-major [tokens.size()][dim]
  bool wants_more = false;
  template <class A>
  void Wire(A& a) {
    a(partition, first, tokens, vectors, wants_more);
  }
};

struct FinishedPartitions {
  std::vector<FinishedPartition> partitions;
  template <class A>
  void Wire(A& a) {
    a(partitions);
  }
};

Made Compute(const EmbedPlan& plan, int32_t partition, int64_t first, std::span<const std::string_view> texts) {
  Made made;
  made.partition = partition;
  made.first = first;
  made.tokens.resize(texts.size());
  ParallelFor(static_cast<int64_t>(texts.size()), plan.threads, [&](int64_t i) {
    made.tokens[static_cast<size_t>(i)] = plan.tokenize.tokenize(texts[static_cast<size_t>(i)]);
  });
  if (plan.given != nullptr) return made;  // its rows are taken when the partition is written
  made.vectors.resize(texts.size() * static_cast<size_t>(plan.embed.dim));
  plan.embed.embed(texts, made.vectors);
  return made;
}

FinishedPartition Describe(const fs::path& folder) {
  const PartitionManifest manifest = ReadPartitionManifest(folder);
  const PartitionInfo& info = manifest.info;
  const fs::path file = folder / "manifest.json";
  return {info.number,     manifest.duplicates, static_cast<int64_t>(fs::file_size(file)),
          info.sequences,  info.text_bytes,     info.tokens,
          info.disk_bytes, info.digest,         HashFileHex(file)};
}

// Given embeddings are not logged: they cost nothing to read again.
int LoggedDim(const EmbedPlan& plan) {
  return plan.given != nullptr ? 0 : plan.embed.dim;
}

std::vector<int32_t> TokensOf(const StagedSequence& staged) {
  std::vector<int32_t> tokens(staged.tokens.size() / sizeof(int32_t));
  if (!tokens.empty()) std::memcpy(tokens.data(), staged.tokens.data(), staged.tokens.size());
  return tokens;
}

// The partitions of this rank, numbered from the build's first. Batches are taken and come back made in any order, by
// any thread.
class OwnPartitions {
 public:
  OwnPartitions(BuildTeam& team, const EmbedPlan& plan) : team_(team), plan_(plan) {
    for (int p = team.rank(); p < plan.settings.partitions; p += team.size()) numbers_.push_back(p);
  }

  struct Batch {
    int32_t partition = 0;
    int64_t first = 0;
    std::vector<std::string_view> texts;       // empty: no batches are left. Valid until the batch is delivered
    std::vector<std::vector<int32_t>> tokens;  // where they are known already
  };
  Batch Take() {
    const std::lock_guard lock(mutex_);
    while (current_ == nullptr || next_row_ == current_->staged.size()) {
      current_ = nullptr;
      if (opened_ == numbers_.size()) return {};
      OpenNext();
    }
    Batch batch{current_->number, next_row_, {}, {}};
    const int64_t size = plan_.given != nullptr ? kTokenizedAtATime : plan_.settings.batch;
    const int64_t end = std::min<int64_t>(next_row_ + size, current_->staged.size());
    for (; next_row_ < end; ++next_row_) {
      const StagedSequence staged = current_->staged[next_row_];
      batch.texts.push_back(staged.text);
      if (!plan_.settings.corpora.empty()) batch.tokens.push_back(TokensOf(staged));
    }
    return batch;
  }

  void Deliver(Made made) {
    const std::lock_guard lock(mutex_);
    const auto found = parts_.find(made.partition);
    HULLFT_CHECK(found != parts_.end(), "a batch came back that was not given out");
    Part& p = *found->second;
    const auto rows = static_cast<int64_t>(made.tokens.size());
    HULLFT_CHECK(rows > 0 && made.first >= p.log.rows() && made.first + rows <= p.staged.size());
    HULLFT_CHECK(made.vectors.size() == made.tokens.size() * static_cast<size_t>(LoggedDim(plan_)));
    const int64_t first = made.first;
    p.waiting.emplace(first, std::move(made));
    while (!p.waiting.empty() && p.waiting.begin()->first == p.log.rows()) {
      const Made& next = p.waiting.begin()->second;
      p.log.Append(next.tokens, next.vectors);
      team_.AddProgress(static_cast<int64_t>(next.tokens.size()));
      p.waiting.erase(p.waiting.begin());
    }
  }

  // Writes the partitions whose logs are full; true when all of this rank's stand. On the thread that is in Step.
  bool WriteFull() {
    while (true) {
      std::unique_ptr<Part> part;
      {
        const std::lock_guard lock(mutex_);
        const auto full = std::ranges::find_if(
            parts_, [](const auto& entry) { return entry.second->log.rows() == entry.second->staged.size(); });
        if (full == parts_.end()) return parts_.empty() && opened_ == numbers_.size();
        part = std::move(full->second);
        parts_.erase(full);
        if (current_ == part.get()) current_ = nullptr;
      }
      PartitionManifest manifest;
      manifest.info.number = plan_.first_partition + part->number;
      manifest.partitions = plan_.settings.partitions;
      manifest.first_partition = plan_.first_partition;
      manifest.dim = plan_.embed.dim;
      manifest.embedding_type = plan_.settings.embedding_type;
      manifest.index = plan_.settings.index;
      manifest.encoder_digest = plan_.embed.digest;
      manifest.tokenizer_digest = plan_.tokenize.digest;
      const fs::path folder = PartitionFolder(plan_.building, manifest.info.number);
      WritePartition(folder, {part->staged, part->log, plan_.given}, std::move(manifest),
                     {plan_.threads, plan_.settings.memory_budget});
      FinishedPartition finished = Describe(folder);
      const std::lock_guard lock(mutex_);
      finished_.partitions.push_back(std::move(finished));
    }
  }

  FinishedPartitions finished() {
    const std::lock_guard lock(mutex_);
    return finished_;
  }

 private:
  struct Part {
    Part(const EmbedPlan& plan, int p)
        : number(p),
          staged(plan.building / "staging", p, plan.settings.partitions, plan.bases,
                 {plan.settings.memory_budget, plan.known}),
          log(LogFile(plan.building, p), LoggedDim(plan)) {}
    const int32_t number;
    const StagedPartition staged;
    EmbeddingLog log;
    std::map<int64_t, Made> waiting;  // for the rows before them; by first row
  };

  void OpenNext() {
    const int p = numbers_[opened_++];
    const fs::path folder = PartitionFolder(plan_.building, plan_.first_partition + p);
    if (fs::exists(folder / "manifest.json")) {  // by an earlier run of this build
      finished_.partitions.push_back(Describe(folder));
      team_.AddProgress(finished_.partitions.back().sequences + finished_.partitions.back().duplicates);
      return;
    }
    auto part = std::make_unique<Part>(plan_, p);
    current_ = part.get();
    next_row_ = part->log.rows();
    team_.AddProgress(part->staged.duplicates() + part->log.rows());
    parts_.emplace(p, std::move(part));
  }

  BuildTeam& team_;
  const EmbedPlan& plan_;
  std::mutex mutex_;
  std::vector<int> numbers_;
  size_t opened_ = 0;                           // of numbers_
  std::map<int, std::unique_ptr<Part>> parts_;  // opened and not yet written
  Part* current_ = nullptr;                     // batches are cut from this one
  int64_t next_row_ = 0;                        // of current_
  FinishedPartitions finished_;
};

// One rank's part of the step; its thread hands batches to other ranks and takes them back, to the end of the step.
class EmbedRank {
 public:
  EmbedRank(BuildTeam& team, const EmbedPlan& plan) : team_(team), plan_(plan), own_(team, plan) {
    if (Shared()) server_ = std::jthread([this](const std::stop_token& stop) { Serve(stop); });
  }

  std::string Run() {
    while (true) {
      team_.Poll();
      own_.WriteFull();
      OwnPartitions::Batch batch = own_.Take();
      if (batch.texts.empty()) break;
      if (batch.tokens.empty()) {
        own_.Deliver(Compute(plan_, batch.partition, batch.first, batch.texts));
      } else {
        own_.Deliver({batch.partition, batch.first, std::move(batch.tokens), {}, false});
      }
    }
    for (int i = 1; Shared() && i < team_.size(); ++i) {
      const int owner = (team_.rank() + i) % team_.size();
      if (owner < plan_.settings.partitions) Help(owner);
    }
    team_.WaitUntil([&] { return own_.WriteFull(); });
    return comm::wire::Encode(kReportTag, own_.finished());
  }

 private:
  // Given embeddings cost nothing: not worth sending the texts about.
  bool Shared() const { return team_.size() > 1 && plan_.given == nullptr; }

  // Makes batches of another rank's partitions until it has none left.
  void Help(int owner) {
    Made made;
    made.wants_more = true;
    while (made.wants_more) {
      team_.world().Send(owner, kWorkTag, comm::wire::Encode(kWorkTag, made));
      const comm::Envelope reply = team_.Receive(owner, kWorkReplyTag);
      const auto work = comm::wire::Decode<Work>(kWorkReplyTag, reply.payload, Peer(owner));
      if (work.texts.empty()) return;
      made = Compute(plan_, work.partition, work.first,
                     std::vector<std::string_view>(work.texts.begin(), work.texts.end()));
      made.wants_more = true;
      own_.WriteFull();
    }
  }

  void Serve(const std::stop_token& stop) try {
    constexpr int tags[] = {kWorkTag};
    while (!stop.stop_requested()) {
      const auto message = team_.world().Receive(comm::kAnySource, tags, comm::After(kLook));
      if (!message) continue;
      auto made = comm::wire::Decode<Made>(kWorkTag, message->payload, Peer(message->source));
      const OwnPartitions::Batch batch = own_.Take();
      const Work work{batch.partition, batch.first, {batch.texts.begin(), batch.texts.end()}};
      team_.world().Send(message->source, kWorkReplyTag, comm::wire::Encode(kWorkReplyTag, work));
      if (made.partition >= 0)
        own_.Deliver(std::move(made));  // after the reply: the log's fsync need not be waited for
    }
  } catch (...) {
    team_.Fail(std::current_exception());
  }

  comm::wire::Peer Peer(int rank) const { return {rank, team_.world().hosts()[static_cast<size_t>(rank)]}; }

  BuildTeam& team_;
  const EmbedPlan& plan_;
  OwnPartitions own_;
  std::jthread server_;  // last: ends first
};

std::vector<FinishedPartition> InOrder(const BuildTeam::Reports& reports, const EmbedPlan& plan) {
  std::vector<FinishedPartition> parts;
  for (size_t r = 0; r < reports.size(); ++r) {
    const auto of_rank =
        comm::wire::Decode<FinishedPartitions>(kReportTag, reports[r], {static_cast<int>(r), ""}).partitions;
    parts.insert(parts.end(), of_rank.begin(), of_rank.end());
  }
  std::ranges::sort(parts, {}, &FinishedPartition::number);
  HULLFT_CHECK(static_cast<int>(parts.size()) == plan.settings.partitions);
  for (size_t p = 0; p < parts.size(); ++p) HULLFT_CHECK(parts[p].number == plan.first_partition + static_cast<int>(p));
  return parts;
}

}  // namespace

void EmbedPartitions(BuildTeam& team, const EmbedPlan& plan, const std::function<void()>& before,
                     const std::function<void(const std::vector<FinishedPartition>&)>& judge) {
  std::unique_ptr<EmbedRank> rank;
  team.Step(
      [&] {
        before();
        rank = std::make_unique<EmbedRank>(team, plan);
        return rank->Run();
      },
      [&](const BuildTeam::Reports& reports) {
        judge(InOrder(reports, plan));
        return std::string();
      });
}

}  // namespace hullft::index
