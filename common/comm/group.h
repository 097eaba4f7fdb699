// A communicator over endpoints: point-to-point and collectives for any carrier. The world of in_process.h and of
// mpi.h, and every group that Split makes.
//
// Collectives are written over point-to-point: barrier by dissemination, broadcast down a binomial tree in pieces that
// are passed on as they come, max-reduce by recursive doubling (all log2(size) steps); gather sends straight to the
// root. docs/decisions/0010 compares them with MPI's own. At a deadline the rank asks all others how far they are, so
// that the error names the rank that is missing and not the one that waits for it in turn; this adds at most
// kProbeWait. After an error in a collective the group is of no more use; other groups are.
#pragma once

#include <atomic>

#include "common/comm/endpoint.h"

namespace hullft::comm {

// True when a goes before b: higher score, then lower id. NaN loses against every number.
bool Better(const ScoredId& a, const ScoredId& b);

class GroupCommunicator final : public Communicator {
 public:
  // members: the world ranks of the group, ascending, with endpoint.rank() among them. The endpoint outlives the group.
  GroupCommunicator(Endpoint& endpoint, uint64_t group, std::vector<int> members);
  static std::unique_ptr<GroupCommunicator> World(Endpoint& endpoint);

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(members_.size()); }
  const std::vector<std::string>& hosts() const override { return hosts_; }
  void Send(int destination, int tag, std::string payload) override;
  std::optional<Envelope> Receive(int source, std::span<const int> tags, Deadline deadline) override;
  void Barrier(Deadline deadline) override;
  std::string Broadcast(int root, std::string payload, Deadline deadline) override;
  std::vector<std::string> Gather(int root, std::string payload, Deadline deadline) override;
  std::vector<ScoredId> MaxReduce(std::span<const ScoredId> values, Deadline deadline) override;
  std::unique_ptr<Communicator> Split(int color, Deadline deadline) override;
  Traffic traffic() const override;
  void Abort(const std::string& why) override { endpoint_.Abort(why); }

  static constexpr std::chrono::milliseconds kProbeWait{500};
  static constexpr size_t kBroadcastPiece = size_t{1} << 20;  // bytes

 private:
  enum class Operation : uint8_t { kBarrier, kBroadcast, kGather, kMaxReduce, kSplit };
  // One collective in progress: its number in the group, what it is, and until when.
  struct Round {
    Operation operation;
    int64_t number;
    Deadline deadline;
  };
  static const char* Name(Operation operation);
  Round Enter(Operation operation, Deadline deadline);
  void SendRound(const Round& round, int to, std::string payload, uint64_t extra = 0);
  Packet ReceiveRound(const Round& round, int from);
  [[noreturn]] void ThrowMissing(const Round& round, int waited_for);
  [[noreturn]] void ThrowPeer(const Round& round, int peer, const std::string& fault) const;

  std::string BroadcastIn(const Round& round, int root, std::string payload);
  std::vector<std::string> GatherIn(const Round& round, int root, std::string payload);
  void TakeBest(const Round& round, int from, std::vector<ScoredId>& best);

  void Count(int peer, size_t bytes, bool sent);
  void CheckRank(int rank, const char* what) const;
  int GroupRank(int world_rank) const;
  std::string Who(int rank) const;  // "rank 3 on host n2": world rank

  Endpoint& endpoint_;
  const uint64_t group_;
  const std::vector<int> members_;
  std::vector<std::string> hosts_;
  int rank_ = 0;
  int64_t entered_ = 0;  // collectives; one thread at a time by contract
  std::atomic<int64_t> messages_sent_ = 0, messages_received_ = 0, bytes_sent_ = 0, bytes_received_ = 0;
};

}  // namespace hullft::comm
