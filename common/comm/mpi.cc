#include "common/comm/mpi.h"

#include <sched.h>
#include <sys/prctl.h>

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <future>
#include <mutex>
#include <thread>

#include "common/comm/group.h"
#include "common/comm/mpi_link.h"
#include "common/error.h"
#include "common/printable.h"

namespace hullft::comm {
namespace {

using std::chrono::microseconds;

// How often the MPI thread looks when nothing happens: it yields for kSpin after the last event, then sleeps half of
// the time since that event, within these bounds. Measured: docs/decisions/0010.
constexpr microseconds kSpin{50}, kShortestSleep{20}, kLongestSleepBusy{100}, kLongestSleepIdle{1'000};
// After Abort, when MPI_Abort does not end this process by itself.
constexpr std::chrono::seconds kAbortWait{10};

}  // namespace

// The endpoint and the thread that serves it.
class MpiWorld::Post final : public Endpoint {
 public:
  // Makes the link on a thread of its own and takes rank and hosts from it.
  static std::unique_ptr<Post> Start(const MpiOptions& options);
  ~Post() override {
    if (thread_.joinable()) thread_.join();
  }

  void Abort(const std::string& why) override { AbortWith(why, 1); }
  [[noreturn]] void AbortWith(const std::string& why, int exit_status);
  void Shutdown(Deadline deadline);

 protected:
  void Carry(int destination, Packet packet) override;

 private:
  struct Outgoing {
    int destination;
    Packet packet;
  };
  Post(int rank, std::vector<std::string> hosts) : Endpoint(rank, std::move(hosts)) {}
  void Serve(MpiLink& link);
  void Pump(MpiLink& link);
  bool SendOutbox(MpiLink& link);
  void Pause(const MpiLink& link, Clock::duration since_event);
  void SayGoodbye();
  std::string MissingGoodbyes() const;

  std::thread thread_;
  std::mutex outbox_mutex_;
  std::condition_variable outbox_filled_;
  std::vector<Outgoing> outbox_;
  std::atomic<int> abort_status_ = -1;  // -1: no abort
  bool closing_ = false;                // guarded by outbox_mutex_; nothing may be sent after it

  mutable std::mutex goodbye_mutex_;
  std::vector<bool> goodbyes_;  // which ranks have said theirs; own entry true
  std::promise<void> ended_;    // MPI is finalized, or the thread has failed
};

std::unique_ptr<MpiWorld::Post> MpiWorld::Post::Start(const MpiOptions& options) {
  std::promise<Post*> made;
  std::thread thread([&made, options] {
    std::unique_ptr<MpiLink> link;
    Post* post = nullptr;
    try {
      link = std::make_unique<MpiLink>(options);
      post = new Post(link->rank(), link->hosts());  // owned by Start's caller
      post->goodbyes_.assign(static_cast<size_t>(link->size()), false);
      post->goodbyes_[static_cast<size_t>(link->rank())] = true;
    } catch (...) {
      made.set_exception(std::current_exception());
      return;
    }
    made.set_value(post);
    post->Serve(*link);
  });
  try {
    std::unique_ptr<Post> post(made.get_future().get());
    post->thread_ = std::move(thread);
    return post;
  } catch (...) {
    thread.join();
    throw;
  }
}

void MpiWorld::Post::Carry(int destination, Packet packet) {
  const std::lock_guard lock(outbox_mutex_);
  if (closing_) throw Error(Code::kInternal, "a message was sent after Shutdown");
  outbox_.push_back({destination, std::move(packet)});
  outbox_filled_.notify_one();
}

// Runs until MPI is finalized. An error here is the end of communication: every waiting thread gets it, and one of them
// brings it to main, which aborts.
void MpiWorld::Post::Serve(MpiLink& link) {
  prctl(PR_SET_TIMERSLACK, 1'000UL);  // ns; the default of 50 us is longer than the sleeps here
  try {
    Pump(link);
    link.Finalize();
    ended_.set_value();
    return;
  } catch (const std::exception& error) {
    Fail(fmt::format("rank {} on host {}: {}", rank(), hosts()[static_cast<size_t>(rank())], error.what()));
    ended_.set_exception(std::current_exception());
  }
  std::unique_lock lock(outbox_mutex_);
  outbox_filled_.wait(lock, [&] { return abort_status_ >= 0; });
  MpiLink::Abort(abort_status_);
}

void MpiWorld::Post::Pump(MpiLink& link) {
  const auto arrived = [this](Packet packet) {
    if (packet.kind != PacketKind::kGoodbye) return Deliver(std::move(packet));
    const std::lock_guard lock(goodbye_mutex_);
    goodbyes_[static_cast<size_t>(packet.source)] = true;
  };
  auto last_event = Clock::now();
  for (;;) {
    if (abort_status_ >= 0) MpiLink::Abort(abort_status_);
    const bool sent = SendOutbox(link);
    const bool moved = link.Advance(arrived);
    const auto now = Clock::now();
    if (sent || moved) {
      last_event = now;
      continue;
    }
    {
      const std::lock_guard lock(outbox_mutex_);
      if (closing_ && outbox_.empty() && link.Idle() && MissingGoodbyes().empty()) return;
    }
    if (now - last_event < kSpin) {
      sched_yield();
    } else {
      Pause(link, now - last_event);
    }
  }
}

bool MpiWorld::Post::SendOutbox(MpiLink& link) {
  std::vector<Outgoing> outgoing;
  {
    const std::lock_guard lock(outbox_mutex_);
    outgoing.swap(outbox_);
  }
  for (Outgoing& one : outgoing) link.Start(one.destination, std::move(one.packet));
  return !outgoing.empty();
}

void MpiWorld::Post::Pause(const MpiLink& link, Clock::duration since_event) {
  const auto longest = !link.Idle() || InCollective() ? kLongestSleepBusy : kLongestSleepIdle;
  const auto sleep = std::clamp<Clock::duration>(since_event / 2, kShortestSleep, longest);
  std::unique_lock lock(outbox_mutex_);
  outbox_filled_.wait_for(lock, sleep, [&] { return !outbox_.empty() || abort_status_ >= 0; });
}

void MpiWorld::Post::SayGoodbye() {
  const std::lock_guard lock(outbox_mutex_);
  if (closing_) return;
  for (int r = 0; r < static_cast<int>(hosts().size()); ++r) {
    if (r != rank()) outbox_.push_back({r, {.source = rank(), .kind = PacketKind::kGoodbye, .payload = {}}});
  }
  closing_ = true;
  outbox_filled_.notify_one();
}

std::string MpiWorld::Post::MissingGoodbyes() const {
  const std::lock_guard lock(goodbye_mutex_);
  std::string missing;
  for (size_t r = 0; r < goodbyes_.size(); ++r) {
    if (!goodbyes_[r]) missing += fmt::format("{}rank {} on host {}", missing.empty() ? "" : ", ", r, hosts()[r]);
  }
  return missing;
}

// A goodbye is the last packet to each rank. As packets of one rank arrive in order, everything has arrived when all
// goodbyes have; and everything was taken over by its receiver when all sends are complete.
void MpiWorld::Post::Shutdown(Deadline deadline) {
  SayGoodbye();
  auto ended = ended_.get_future();
  if (ended.wait_until(deadline) == std::future_status::ready) {
    ended.get();
    thread_.join();
    return;
  }
  const std::string missing = MissingGoodbyes();
  throw Error(Code::kPeer,
              missing.empty() ? fmt::format("rank {} could not finish MPI by the deadline", rank())
                              : fmt::format("at the end of the run no goodbye came from {}", missing),
              "see the log of the rank that is named");
}

void MpiWorld::Post::AbortWith(const std::string& why, int exit_status) {
  std::fprintf(stderr, "hullft: rank %d on host %s: %s\n", rank(), hosts()[static_cast<size_t>(rank())].c_str(),
               Printable(why).c_str());
  {
    const std::lock_guard lock(outbox_mutex_);
    abort_status_ = exit_status;
    outbox_filled_.notify_one();
  }
  std::this_thread::sleep_for(kAbortWait);
  std::_Exit(exit_status);
}

MpiWorld::MpiWorld(const MpiOptions& options) : post_(Post::Start(options)), world_(GroupCommunicator::World(*post_)) {}

MpiWorld::~MpiWorld() {
  if (!shut_down_) post_->AbortWith("the run ended without an orderly shutdown", ExitStatus(Code::kInternal));
}

Communicator& MpiWorld::world() {
  return *world_;
}

void MpiWorld::Shutdown(Deadline deadline) {
  HULLFT_CHECK(!shut_down_);
  post_->Shutdown(deadline);
  shut_down_ = true;
}

void MpiWorld::Abort(const std::string& why, int exit_status) {
  post_->AbortWith(why, exit_status);
}

}  // namespace hullft::comm
