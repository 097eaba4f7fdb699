#include "index/build_read.h"

#include <map>
#include <nlohmann/json.hpp>
#include <thread>
#include <tuple>

#include "common/error.h"
#include "common/files.h"
#include "common/log.h"
#include "index/corpus_blocks.h"
#include "index/staging.h"

namespace hullft::index {
namespace {
using nlohmann::json;

constexpr size_t kMessageBytes = 256 << 10;
constexpr int kWindow = 8;
constexpr std::chrono::milliseconds kLook{50};  // between two looks at whether the step is over
constexpr int64_t kPollEvery = 256;             // records

struct Sequences {
  bool last = false;  // no more will come from this rank
  std::string staged;
  template <class A>
  void Wire(A& a) {
    a(last, staged);
  }
};

// Of one block, when it has been read.
struct BlockCounts {
  int64_t block = 0, records = 0, good = 0, lines = 0;
  template <class A>
  void Wire(A& a) {
    a(block, records, good, lines);
  }
};

struct RankCounts {
  std::vector<BlockCounts> blocks;
  template <class A>
  void Wire(A& a) {
    a(blocks);
  }
};

struct BadRecord {
  int64_t block = 0, line = 0;  // the line counts from the block
  std::string reason;
  template <class A>
  void Wire(A& a) {
    a(block, line, reason);
  }
};

// This rank's part of the staging: what it reads of its own partitions, and what other ranks send, taken by a thread.
class Exchange {
 public:
  Exchange(BuildTeam& team, const std::filesystem::path& staging, int partitions)
      : team_(team),
        partitions_(partitions),
        writer_(staging, partitions, team.rank(), team.size()),
        out_(static_cast<size_t>(team.size())),
        under_way_(static_cast<size_t>(team.size()), 0),
        senders_left_(team.size() - 1) {
    if (team.size() > 1) receiver_ = std::jthread([this](const std::stop_token& stop) { TakeAll(stop); });
  }

  void Add(const StagedSequence& sequence) {
    const int owner = PartitionOf(sequence.text, partitions_) % team_.size();
    if (owner == team_.rank()) {
      const std::lock_guard lock(mutex_);
      writer_.Add(sequence);
      return;
    }
    std::string& out = out_[static_cast<size_t>(owner)];
    AppendStaged(sequence, &out);
    if (out.size() >= kMessageBytes) Send(owner, false);
  }

  // Sends the rest, waits for that of the others, and makes all of it durable.
  void Finish() {
    for (int r = 0; r < team_.size(); ++r) {
      if (r != team_.rank()) Send(r, true);
    }
    team_.WaitUntil([&] { return senders_left_ == 0; });
    const std::lock_guard lock(mutex_);
    writer_.Finish();
  }

 private:
  void Send(int owner, bool last) {
    int& under_way = under_way_[static_cast<size_t>(owner)];
    while (under_way >= kWindow)
      --under_way_[static_cast<size_t>(team_.Receive(comm::kAnySource, kAcceptedTag).source)];
    ++under_way;
    Sequences message;
    message.last = last;
    message.staged.swap(out_[static_cast<size_t>(owner)]);
    team_.world().Send(owner, kSequencesTag, comm::wire::Encode(kSequencesTag, message));
  }

  void TakeAll(const std::stop_token& stop) try {
    constexpr int tags[] = {kSequencesTag};
    comm::Communicator& world = team_.world();
    while (!stop.stop_requested() && senders_left_ > 0) {
      const auto message = world.Receive(comm::kAnySource, tags, comm::After(kLook));
      if (!message) continue;
      const comm::wire::Peer peer{message->source, world.hosts()[static_cast<size_t>(message->source)]};
      const auto sequences = comm::wire::Decode<Sequences>(kSequencesTag, message->payload, peer);
      {
        const std::lock_guard lock(mutex_);
        ReadStaged(sequences.staged, [&](const StagedSequence& s) { writer_.Add(s); });
      }
      world.Send(message->source, kAcceptedTag, "");
      if (sequences.last) --senders_left_;
    }
  } catch (...) {
    team_.Fail(std::current_exception());
  }

  BuildTeam& team_;
  const int partitions_;
  std::mutex mutex_;  // of writer_
  StageWriter writer_;
  std::vector<std::string> out_;  // to each rank
  std::vector<int> under_way_;    // messages to each rank that it has not accepted yet
  std::atomic<int> senders_left_;
  std::jthread receiver_;  // last: ends first
};

// Tells rank 0 of bad records.
class ToldRejects final : public Rejects {
 public:
  explicit ToldRejects(BuildTeam& team) : Rejects({}, 0), team_(team) {}
  void StartBlock(int64_t block) { block_ = block; }
  void Add(std::string_view /*path*/, int64_t line, std::string_view reason) override {
    team_.Note(comm::wire::Encode(kReportTag, BadRecord{block_, line, std::string(reason)}));
    team_.Poll();
  }

 private:
  BuildTeam& team_;
  int64_t block_ = 0;
};

// The bad records of all ranks, on rank 0.
class RejectList {
 public:
  RejectList(const BuildSettings& settings, const ReadPlan& plan) : settings_(settings), plan_(plan) {}

  void Add(int rank, const std::string& note) {
    auto bad = comm::wire::Decode<BadRecord>(kReportTag, note, {rank, ""});
    HULLFT_CHECK(bad.block >= 0 && bad.block < static_cast<int64_t>(plan_.blocks.size()));
    found_[{bad.block, bad.line}] = std::move(bad.reason);
    if (static_cast<int64_t>(found_.size()) > settings_.max_rejects) Write();
  }
  int64_t size() const { return static_cast<int64_t>(found_.size()); }

  // In the order of the input. Throws, naming file and line, when they are more than the limit.
  void Write() const {
    Rejects list(plan_.rejects, settings_.max_rejects);
    int64_t block = -1, before = 0;
    for (const auto& [place, reason] : found_) {
      const InputBlock& of = plan_.blocks[static_cast<size_t>(place.first)];
      const InputFile& file = plan_.inputs[static_cast<size_t>(of.file)];
      if (place.first != block) before = LinesBefore(of, file);
      block = place.first;
      list.Add(file.path.string(), before + place.second, reason);
    }
    if (size() > 0) spdlog::warn("{} bad records were left out: see {}", size(), plan_.rejects.string());
  }

 private:
  const BuildSettings& settings_;
  const ReadPlan& plan_;
  std::map<std::pair<int64_t, int64_t>, std::string> found_;  // by block and line
};

InputCounts ReadBlock(const BuildSettings& settings, const ReadPlan& plan, int64_t b, Rejects* rejects,
                      const std::function<void(const StagedSequence&)>& take) {
  const InputBlock& block = plan.blocks[static_cast<size_t>(b)];
  int64_t row = 0;
  if (!plan.corpora.empty()) {
    const CorpusInfo& corpus = plan.corpora[static_cast<size_t>(block.file)];
    const int64_t count = ReadPartition(corpus, static_cast<int>(block.begin), [&](const SequenceView& s) {
      const std::string_view tokens(reinterpret_cast<const char*>(s.tokens.data()), s.tokens.size_bytes());
      take(ToStage(b, s.id, row++, s.text, s.metadata, tokens));
    });
    return {count, count, 0};
  }
  InputFile file = plan.inputs[static_cast<size_t>(block.file)];
  file.number = 0;  // ids count from the block until all blocks are counted
  const InputOptions options{.max_line_bytes = settings.max_line_bytes,
                             .keep_ids = settings.keep_ids,
                             .begin = block.begin,
                             .end = block.end,
                             .chunk_bytes = settings.chunk_bytes};
  return ReadInput(file, options, rejects,
                   [&](const InputRecord& record) { take(ToStage(b, record.id, row++, record.text, record.meta)); });
}

std::string ReadMine(BuildTeam& team, const BuildSettings& settings, const ReadPlan& plan) {
  Exchange exchange(team, plan.staging, settings.partitions);
  ToldRejects rejects(team);
  RankCounts counts;
  int64_t records = 0;
  const auto take = [&](const StagedSequence& sequence) {
    exchange.Add(sequence);
    team.AddProgress(1);
    if (++records % kPollEvery == 0) team.Poll();
  };
  const auto dealt = DealBlocks(plan.blocks, team.size());
  for (const int64_t b : dealt[static_cast<size_t>(team.rank())]) {
    rejects.StartBlock(b);
    const InputCounts read = ReadBlock(settings, plan, b, &rejects, take);
    counts.blocks.push_back({b, read.records, read.good, read.lines});
    team.Poll();
  }
  exchange.Finish();
  return comm::wire::Encode(kReportTag, counts);
}

ReadOutcome Combine(const BuildTeam::Reports& reports, const BuildSettings& settings, const ReadPlan& plan,
                    const RejectList& rejects) {
  std::vector<InputCounts> counts(plan.blocks.size());
  ReadOutcome outcome;
  size_t seen = 0;
  for (size_t r = 0; r < reports.size(); ++r) {
    const auto of_rank = comm::wire::Decode<RankCounts>(kReportTag, reports[r], {static_cast<int>(r), ""});
    for (const BlockCounts& c : of_rank.blocks) {
      counts.at(static_cast<size_t>(c.block)) = {c.records, c.good, c.lines};
      outcome.records += c.good;
      ++seen;
    }
  }
  HULLFT_CHECK(seen == plan.blocks.size());
  rejects.Write();
  outcome.rejects = rejects.size();
  outcome.bases = BasesOf(plan.blocks, counts, plan.first_file);
  for (size_t b = 0; !plan.file_offsets.empty() && b < outcome.bases.size(); ++b)
    outcome.bases[b].first_id = MakeId(plan.file_offsets[static_cast<size_t>(plan.blocks[b].file)], 0);
  if (outcome.records == 0) throw Error(Code::kData, "the input holds no records", "check --input");
  if (plan.rows_wanted >= 0 && plan.rows_wanted != outcome.records) {
    throw Error(Code::kData,
                fmt::format("{} holds {} rows, the input {} good records", settings.embeddings, plan.rows_wanted,
                            outcome.records),
                "row i must be the embedding of good record i, over all --input in order");
  }
  return outcome;
}

}  // namespace

ReadOutcome ReadInputs(BuildTeam& team, const BuildSettings& settings, const ReadPlan& plan,
                       const std::function<void()>& before, const std::function<void()>& confirm) {
  RejectList rejects(settings, plan);
  team.on_note = [&](int rank, const std::string& note) { rejects.Add(rank, note); };
  team.StartProgress("reading", "records", 0);
  const std::string text = team.Step(
      [&] {
        before();
        return ReadMine(team, settings, plan);
      },
      [&](const BuildTeam::Reports& reports) {
        std::string outcome = ToText(Combine(reports, settings, plan, rejects));
        confirm();
        WriteFileAtomic(plan.staging / kReadFile, outcome);
        return outcome;
      });
  team.EndProgress();
  team.on_note = nullptr;
  return OutcomeFromText(text);
}

std::string ToText(const ReadOutcome& outcome) {
  json blocks = json::array();
  for (const BlockBase& base : outcome.bases) blocks.push_back({base.first_id.value, base.first_row});
  return json{{"records", outcome.records}, {"rejects", outcome.rejects}, {"blocks", blocks}}.dump();
}

ReadOutcome OutcomeFromText(const std::string& text) try {
  const json value = json::parse(text);
  ReadOutcome outcome{value.at("records"), value.at("rejects"), {}};
  for (const json& base : value.at("blocks")) outcome.bases.push_back({{base.at(0)}, base.at(1)});
  return outcome;
} catch (const json::exception& error) {
  throw Error(Code::kData, fmt::format("the record of what was read is damaged: {}", error.what()),
              "start over with --force");
}

}  // namespace hullft::index
