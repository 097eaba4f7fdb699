#include "index/build_embed.h"

#include <algorithm>
#include <thread>

#include "common/error.h"
#include "common/parallel.h"
#include "index/own_partitions.h"

namespace hullft::index {
namespace {

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
