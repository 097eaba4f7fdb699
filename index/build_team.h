// The ranks of one build, moving together from step to step. Rank 0 leads: it gathers what each rank reports at the end
// of a step, judges, and tells all what follows. An error on any rank ends the step on all of them within one piece of
// work, and every rank throws that same error: nobody is left waiting. No MPI, no corpus in it: it works over any
// communicator and takes its tags kReportTag and kVerdictTag. Not thread-safe but for Fail and AddProgress.
#pragma once

#include <atomic>
#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/comm/communicator.h"
#include "common/comm/wire.h"
#include "common/error.h"
#include "common/progress.h"

namespace hullft::index {

// Tags and wire types of a build; a build has its communicator to itself.
enum BuildTag : int { kReportTag = 1, kVerdictTag, kSequencesTag, kAcceptedTag, kWorkTag, kWorkReplyTag };

class BuildTeam {
 public:
  using Reports = std::vector<std::string>;  // of each rank

  // stop: asked between pieces of work; true on any rank ends the build on all of them (kInterrupted). May be empty.
  BuildTeam(comm::Communicator& world, std::function<bool()> stop, bool quiet);
  comm::Communicator& world() { return world_; }
  int rank() const { return world_.rank(); }
  int size() const { return world_.size(); }
  bool leads() const { return rank() == 0; }

  // Collective over the world. Runs work on every rank, then judge on rank 0 with what each returned, and returns
  // judge's result everywhere. Whatever is thrown on one rank is thrown on all (with the rank and host it came from
  // when that is not rank 0); the team is of no more use then. Once rank 0 throws, the others have stopped working or
  // had kStopWait to do so. 2 messages a rank.
  std::string Step(const std::function<std::string()>& work, const std::function<std::string(const Reports&)>& judge);

  // To be called between pieces of work, on the thread that is in Step. Throws what has failed elsewhere.
  void Poll();
  // Polls until ready() is true.
  void WaitUntil(const std::function<bool()>& ready);
  // The next message with this tag; polls while it waits.
  comm::Envelope Receive(int source, int tag);
  // Another thread of this rank has failed: the next Poll throws it.
  void Fail(std::exception_ptr error);

  // Text for rank 0, whose on_note is called with it while it polls; before the end of the step at the latest.
  void Note(std::string text);
  std::function<void(int rank, const std::string& text)> on_note;

  // One display for all ranks, on rank 0.
  void StartProgress(const std::string& what, const std::string& unit, int64_t total);
  void EndProgress() { progress_.reset(); }
  void AddProgress(int64_t n) { progress_made_ += n; }

  static constexpr std::chrono::seconds kStopWait{10};
  // A rank that says nothing for so long is taken for hung: far longer than any one piece of work.
  static constexpr std::chrono::hours kSilence{2};

 private:
  struct Report;
  struct Verdict;
  void SendReport(const Report& report);
  void SendVerdict(const Verdict& verdict);
  bool TakeReport(comm::Deadline deadline);   // rank 0; false: none came
  bool TakeVerdict(comm::Deadline deadline);  // the others
  void FlushProgress(bool now);
  void CheckSilence();
  std::string Lead(std::string mine, const std::function<std::string(const Reports&)>& judge);
  std::string Follow(std::string mine);
  [[noreturn]] void Unwind(const std::exception& error);
  comm::wire::Peer Peer(int rank) const { return {rank, world_.hosts()[static_cast<size_t>(rank)]}; }

  comm::Communicator& world_;
  const std::function<bool()> stop_;
  const bool quiet_;
  std::unique_ptr<Progress> progress_;
  std::atomic<int64_t> progress_made_ = 0;
  comm::Clock::time_point progress_sent_{}, pinged_;
  std::vector<comm::Clock::time_point> heard_;  // of each rank; elsewhere only rank 0's
  std::vector<std::optional<std::string>> reports_;
  std::vector<char> stopped_;
  std::optional<std::string> go_;  // rank 0's word, not yet returned from Step
  std::optional<Error> failure_;   // of the job
  std::mutex background_mutex_;
  std::exception_ptr background_;
};

}  // namespace hullft::index
