#include "index/build_team.h"

#include <algorithm>
#include <filesystem>

namespace hullft::index {
namespace {
using comm::After;
using comm::Clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kWait{50};  // between two looks at what else has happened
constexpr milliseconds kProgressEvery{500};
constexpr seconds kPingEvery{30};

// What is wrong, as an Error that keeps code and hint.
Error AsError(const std::exception& error) {
  if (const auto* own = dynamic_cast<const Error*>(&error)) return *own;
  if (dynamic_cast<const std::filesystem::filesystem_error*>(&error) != nullptr) return Error(Code::kIo, error.what());
  const auto failure = comm::wire::Failure::From(error);
  return Error(CodeFromName(failure.code), failure.message, failure.hint);
}

}  // namespace

struct BuildTeam::Report {
  enum Kind : uint8_t { kProgress, kNote, kDone, kFailed, kStopped } kind = kProgress;
  int64_t progress = 0;
  std::string text;
  comm::wire::Failure failure;
  template <class A>
  void Wire(A& a) {
    a(kind, progress, text, failure);
  }
};

struct BuildTeam::Verdict {
  enum Kind : uint8_t { kPing, kGo, kFail } kind = kPing;
  std::string text;
  comm::wire::Failure failure;
  template <class A>
  void Wire(A& a) {
    a(kind, text, failure);
  }
};

BuildTeam::BuildTeam(comm::Communicator& world, std::function<bool()> stop, bool quiet)
    : world_(world),
      stop_(std::move(stop)),
      quiet_(quiet),
      pinged_(Clock::now()),
      heard_(static_cast<size_t>(world.size()), Clock::now()),
      reports_(static_cast<size_t>(world.size())),
      stopped_(static_cast<size_t>(world.size()), 0) {}

void BuildTeam::SendReport(const Report& report) {
  world_.Send(0, kReportTag, comm::wire::Encode(kReportTag, report));
}

void BuildTeam::SendVerdict(const Verdict& verdict) {
  for (int r = 1; r < size(); ++r) world_.Send(r, kVerdictTag, comm::wire::Encode(kVerdictTag, verdict));
}

bool BuildTeam::TakeReport(comm::Deadline deadline) {
  constexpr int tags[] = {kReportTag};
  const auto message = world_.Receive(comm::kAnySource, tags, deadline);
  if (!message) return false;
  const auto from = static_cast<size_t>(message->source);
  auto report = comm::wire::Decode<Report>(kReportTag, message->payload, Peer(message->source));
  heard_[from] = Clock::now();
  progress_made_ += report.progress;
  switch (report.kind) {
    case Report::kProgress:
      break;
    case Report::kNote:
      if (on_note && !failure_) on_note(message->source, report.text);
      break;
    case Report::kDone:
      reports_[from] = std::move(report.text);
      break;
    case Report::kFailed:
      stopped_[from] = 1;
      try {
        report.failure.Throw(Peer(message->source));
      } catch (const Error& error) {
        if (!failure_) failure_ = error;
      }
      break;
    case Report::kStopped:
      stopped_[from] = 1;
      break;
  }
  return true;
}

bool BuildTeam::TakeVerdict(comm::Deadline deadline) {
  constexpr int tags[] = {kVerdictTag};
  const auto message = world_.Receive(0, tags, deadline);
  if (!message) return false;
  auto verdict = comm::wire::Decode<Verdict>(kVerdictTag, message->payload, Peer(0));
  heard_[0] = Clock::now();
  if (verdict.kind == Verdict::kGo) go_ = std::move(verdict.text);
  if (verdict.kind == Verdict::kFail)  // the place it came from is in the message already
    failure_ = Error(CodeFromName(verdict.failure.code), verdict.failure.message, verdict.failure.hint);
  return true;
}

void BuildTeam::FlushProgress(bool now) {
  if (leads()) {
    const int64_t made = progress_made_.exchange(0);
    if (progress_ && made > 0) progress_->Add(made);
    return;
  }
  if (!now && Clock::now() - progress_sent_ < kProgressEvery) return;
  progress_sent_ = Clock::now();
  Report report;
  report.progress = progress_made_.exchange(0);
  SendReport(report);  // also when nothing was made: it says that this rank is alive
}

void BuildTeam::CheckSilence() {
  const auto now = Clock::now();
  if (leads() && now - pinged_ > kPingEvery) {
    pinged_ = now;
    SendVerdict({});
  }
  for (int r = 0; r < size(); ++r) {
    const bool of_interest = leads() ? r != 0 && !reports_[static_cast<size_t>(r)] : r == 0;
    if (of_interest && now - heard_[static_cast<size_t>(r)] > kSilence) {
      throw Error(Code::kPeer,
                  fmt::format("nothing was heard from rank {} on {} for {} hours", r,
                              world_.hosts()[static_cast<size_t>(r)], kSilence.count()),
                  "look at that host; the same command goes on where the build stopped");
    }
  }
}

void BuildTeam::Poll() {
  {
    const std::lock_guard lock(background_mutex_);
    if (background_) std::rethrow_exception(background_);
  }
  if (stop_ && stop_()) throw Error(Code::kInterrupted, "stopped before the corpus was finished");
  FlushProgress(false);
  if (size() > 1) {
    while (leads() ? TakeReport(Clock::now()) : TakeVerdict(Clock::now())) {
    }
    CheckSilence();
  }
  if (failure_) throw *failure_;
}

void BuildTeam::WaitUntil(const std::function<bool()>& ready) {
  for (Poll(); !ready(); Poll()) {
    if (leads()) {
      TakeReport(After(kWait));
    } else {
      TakeVerdict(After(kWait));
    }
  }
}

comm::Envelope BuildTeam::Receive(int source, int tag) {
  const int tags[] = {tag};
  while (true) {
    Poll();
    if (auto message = world_.Receive(source, tags, After(kWait))) return std::move(*message);
  }
}

void BuildTeam::Fail(std::exception_ptr error) {
  const std::lock_guard lock(background_mutex_);
  if (!background_) background_ = std::move(error);
}

void BuildTeam::Note(std::string text) {
  if (leads()) {
    if (on_note) on_note(0, text);
    return;
  }
  Report report;
  report.kind = Report::kNote;
  report.text = std::move(text);
  SendReport(report);
}

void BuildTeam::StartProgress(const std::string& what, const std::string& unit, int64_t total) {
  progress_.reset();
  if (leads()) progress_ = std::make_unique<Progress>(what, unit, total, 0, !quiet_);
}

std::string BuildTeam::Step(const std::function<std::string()>& work,
                            const std::function<std::string(const Reports&)>& judge) {
  try {
    std::string mine = work();
    return leads() ? Lead(std::move(mine), judge) : Follow(std::move(mine));
  } catch (const std::exception& error) {
    Unwind(error);
  }
}

std::string BuildTeam::Lead(std::string mine, const std::function<std::string(const Reports&)>& judge) {
  reports_[0] = std::move(mine);
  WaitUntil([&] { return std::ranges::all_of(reports_, [](const auto& report) { return report.has_value(); }); });
  FlushProgress(true);
  Reports reports;
  for (auto& report : reports_) reports.push_back(std::move(*report));
  std::string text = judge(reports);
  std::ranges::fill(reports_, std::nullopt);  // before anybody can send the next
  Verdict verdict;
  verdict.kind = Verdict::kGo;
  verdict.text = text;
  SendVerdict(verdict);
  return text;
}

std::string BuildTeam::Follow(std::string mine) {
  Report report;
  report.kind = Report::kDone;
  report.progress = progress_made_.exchange(0);
  report.text = std::move(mine);
  SendReport(report);
  WaitUntil([&] { return go_.has_value(); });
  std::string text = std::move(*go_);
  go_.reset();
  return text;
}

void BuildTeam::Unwind(const std::exception& error) {
  const bool told = failure_.has_value();  // by another rank
  const Error own = told ? *failure_ : AsError(error);
  const auto deadline = After(kStopWait);
  if (leads()) {
    if (!told) failure_ = own;
    Verdict verdict;
    verdict.kind = Verdict::kFail;
    verdict.failure = comm::wire::Failure::From(own);
    SendVerdict(verdict);
    stopped_[0] = 1;
    while (Clock::now() < deadline && !std::ranges::all_of(stopped_, [](char stopped) { return stopped != 0; }))
      TakeReport(After(kWait));
    throw own;
  }
  Report report;
  report.kind = told ? Report::kStopped : Report::kFailed;
  report.failure = comm::wire::Failure::From(own);
  SendReport(report);
  while (!failure_ && Clock::now() < deadline) TakeVerdict(After(kWait));
  throw failure_.value_or(own);
}

}  // namespace hullft::index
