#include "index/own_partitions.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "common/error.h"
#include "common/hash.h"
#include "index/build_folder.h"
#include "index/embedding_log.h"
#include "index/manifest.h"
#include "index/partition_writer.h"
#include "index/staging.h"

namespace hullft::index {
namespace {
namespace fs = std::filesystem;

constexpr int64_t kTokenizedAtATime = 4096;  // texts with given embeddings

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

}  // namespace

struct OwnPartitions::Part {
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

OwnPartitions::OwnPartitions(BuildTeam& team, const EmbedPlan& plan) : team_(team), plan_(plan) {
  for (int p = team.rank(); p < plan.settings.partitions; p += team.size()) numbers_.push_back(p);
}
OwnPartitions::~OwnPartitions() = default;

OwnPartitions::Batch OwnPartitions::Take() {
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

void OwnPartitions::Deliver(Made made) {
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

bool OwnPartitions::WriteFull() {
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
    Write(*part);
  }
}

void OwnPartitions::Write(const Part& part) {
  PartitionManifest manifest;
  manifest.info.number = plan_.first_partition + part.number;
  manifest.partitions = plan_.settings.partitions;
  manifest.first_partition = plan_.first_partition;
  manifest.dim = plan_.embed.dim;
  manifest.embedding_type = plan_.settings.embedding_type;
  manifest.index = plan_.settings.index;
  manifest.encoder_digest = plan_.embed.digest;
  manifest.tokenizer_digest = plan_.tokenize.digest;
  const fs::path folder = PartitionFolder(plan_.building, manifest.info.number);
  WritePartition(folder, {part.staged, part.log, plan_.given}, std::move(manifest),
                 {plan_.threads, plan_.settings.memory_budget});
  FinishedPartition finished = Describe(folder);
  const std::lock_guard lock(mutex_);
  finished_.partitions.push_back(std::move(finished));
}

FinishedPartitions OwnPartitions::finished() {
  const std::lock_guard lock(mutex_);
  return finished_;
}

void OwnPartitions::OpenNext() {
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

}  // namespace hullft::index
