// How ranks talk. One interface, two implementations: in-process (threads of one process as ranks; no MPI) and MPI.
// Nothing in a role knows which of the two carries its messages.
//
// A Communicator is one rank's endpoint of one group. Roles that share a rank (coordinator, shard, worker) share the
// endpoint and tell their messages apart by tag. Thread safety: every function may be called from any thread of the
// rank; two threads must not enter collectives of the same communicator at the same time, nor receive the same tag.
//
// Failure: a peer that does not answer by the deadline is an Error(kPeer) naming it (collectives) or an empty optional
// (Receive). A message that does not parse is an Error(kPeer) naming the peer. No function waits without a deadline.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace hullft::comm {

using Clock = std::chrono::steady_clock;
using Deadline = Clock::time_point;
inline Deadline After(std::chrono::milliseconds wait) {
  return Clock::now() + wait;
}

inline constexpr int kAnySource = -1;

// A score with the 64-bit global id it belongs to. Order: higher score first, then lower id.
struct ScoredId {
  double score = 0;
  uint64_t id = 0;
};

struct Envelope {
  int source = 0;
  int tag = 0;
  std::string payload;
};

struct Traffic {
  int64_t messages_sent = 0, messages_received = 0;
  int64_t bytes_sent = 0, bytes_received = 0;  // payloads, point-to-point and collective; to other ranks only
};

class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  // The host each rank runs on (size() entries); in-process: what the test or the run gave.
  virtual const std::vector<std::string>& hosts() const = 0;

  // Takes the message and returns at once; never waits for the receiver. Sending to oneself is fine. Messages from one
  // rank to another with one tag arrive in order. Payloads of any size (counts above INT_MAX are cut inside).
  virtual void Send(int destination, int tag, std::string payload) = 0;
  // The next message from `source` (or kAnySource) with one of `tags`; nothing when none came by the deadline.
  [[nodiscard]] virtual std::optional<Envelope> Receive(int source, std::span<const int> tags, Deadline deadline) = 0;

  // Collective over this communicator: every rank calls, in the same order. Throw kPeer at the deadline.
  virtual void Barrier(Deadline deadline) = 0;
  // root's payload, on every rank. log2(size) steps.
  virtual std::string Broadcast(int root, std::string payload, Deadline deadline) = 0;
  // Every rank's payload on root, in rank order; empty elsewhere.
  virtual std::vector<std::string> Gather(int root, std::string payload, Deadline deadline) = 0;
  // Elementwise best of every rank's values (same count on every rank), on every rank: 16 bytes an element and step.
  virtual std::vector<ScoredId> MaxReduce(std::span<const ScoredId> values, Deadline deadline) = 0;
  // Ranks with the same color >= 0 form a new group, ordered by rank; nullptr for color < 0.
  virtual std::unique_ptr<Communicator> Split(int color, Deadline deadline) = 0;

  virtual Traffic traffic() const = 0;
  // Ends every rank of the job after printing why; for an error that cannot be agreed on. Does not return under MPI.
  virtual void Abort(const std::string& why) = 0;
};

}  // namespace hullft::comm
