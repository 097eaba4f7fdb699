// One rank's post office: what arrived and nobody has taken yet, and the way out. Carriers (in-process, MPI) derive
// from it and say how a packet travels; groups (group.h) build communicators on it. Not for roles: they use
// communicator.h.
//
// Thread safety: every function, from any thread. Ranks here are world ranks.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "common/comm/communicator.h"

namespace hullft::comm {

enum class PacketKind : uint8_t { kUser, kCollective, kProbe, kProbeReply, kGoodbye };

struct Packet {
  uint64_t group = 0;  // id of the communicator it belongs to
  int32_t source = 0;  // world rank
  PacketKind kind = PacketKind::kUser;
  uint8_t operation = 0;  // collective: which one, to notice ranks that call different ones
  int64_t channel = 0;    // user: the tag; otherwise: the number of the collective within its group
  uint64_t extra = 0;     // broadcast: bytes in all; probe reply: collectives of the group entered so far
  std::string payload;
};

class Endpoint {
 public:
  // hosts: one per world rank.
  Endpoint(int rank, std::vector<std::string> hosts) : rank_(rank), hosts_(std::move(hosts)) {}
  virtual ~Endpoint() = default;
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;

  int rank() const { return rank_; }
  const std::vector<std::string>& hosts() const { return hosts_; }

  // Returns at once. Throws kPeer after Fail.
  void Send(int destination, Packet packet);
  // Ends the job: see Communicator::Abort.
  virtual void Abort(const std::string& why) = 0;

  // The first packet to arrive on any of the channels, from `source` or kAnySource; nothing at the deadline. Throws
  // kPeer after Fail.
  std::optional<Packet> Take(uint64_t group, PacketKind kind, int source, std::span<const int64_t> channels,
                             Deadline deadline);
  // Notes that this rank has entered its `number`-th collective of the group; probes are answered from it.
  void EnterCollective(uint64_t group, int64_t number);

  // For carriers: a packet has arrived here. A probe is answered at once.
  void Deliver(Packet packet);
  // For carriers: nothing more can be expected; every present and later Send and Take throws kPeer with the reason.
  void Fail(const std::string& reason);

 protected:
  // Carries a packet to another rank; returns at once.
  virtual void Carry(int destination, Packet packet) = 0;
  // A thread of this rank waits within a collective: the carrier should be quick.
  bool InCollective() const { return waits_in_collectives_ > 0; }

 private:
  using Key = std::tuple<uint64_t, PacketKind, int64_t>;  // group, kind, channel
  struct Arrived {
    uint64_t order;
    Packet packet;
  };
  std::optional<Packet> Find(uint64_t group, PacketKind kind, int source, std::span<const int64_t> channels);
  void ThrowIfFailed() const;

  const int rank_;
  const std::vector<std::string> hosts_;
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::map<Key, std::deque<Arrived>> boxes_;  // no empty deques
  std::map<uint64_t, int64_t> entered_;       // group -> collectives entered
  uint64_t order_ = 0;
  std::optional<std::string> failure_;
  std::atomic<int> waits_in_collectives_ = 0;
};

}  // namespace hullft::comm
