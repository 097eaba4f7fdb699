#include "common/comm/endpoint.h"

#include <algorithm>

#include "common/error.h"
#include "common/test_faults.h"

namespace hullft::comm {
namespace {

// Adds to a counter for its own lifetime.
class CountWhile {
 public:
  CountWhile(std::atomic<int>& counter, int by) : counter_(counter), by_(by) { counter_ += by_; }
  ~CountWhile() { counter_ -= by_; }
  CountWhile(const CountWhile&) = delete;
  CountWhile& operator=(const CountWhile&) = delete;

 private:
  std::atomic<int>& counter_;
  const int by_;
};

}  // namespace

void Endpoint::ThrowIfFailed() const {
  if (failure_) throw Error(Code::kPeer, *failure_);
}

void Endpoint::Send(int destination, Packet packet) {
  packet.source = rank_;
  {
    const std::lock_guard lock(mutex_);
    ThrowIfFailed();
  }
  if (packet.kind == PacketKind::kUser) {
    test_faults::Delay();
    if (test_faults::Strikes(test_faults::Kind::kFlip))
      test_faults::FlipBit(packet.payload.data(), static_cast<int64_t>(packet.payload.size()));
  }
  if (destination == rank_) {
    Deliver(std::move(packet));
  } else {
    Carry(destination, std::move(packet));
  }
}

std::optional<Packet> Endpoint::Find(uint64_t group, PacketKind kind, int source, std::span<const int64_t> channels) {
  std::deque<Arrived>* best_box = nullptr;
  std::deque<Arrived>::iterator best;
  for (const int64_t channel : channels) {
    const auto box = boxes_.find({group, kind, channel});
    if (box == boxes_.end()) continue;
    auto& queue = box->second;
    const auto found = source == kAnySource ? queue.begin()
                                            : std::find_if(queue.begin(), queue.end(),
                                                           [&](const Arrived& a) { return a.packet.source == source; });
    if (found == queue.end() || (best_box != nullptr && best->order < found->order)) continue;
    best_box = &queue;
    best = found;
  }
  if (best_box == nullptr) return std::nullopt;
  Packet packet = std::move(best->packet);
  best_box->erase(best);
  if (best_box->empty()) boxes_.erase({group, kind, packet.channel});
  return packet;
}

std::optional<Packet> Endpoint::Take(uint64_t group, PacketKind kind, int source, std::span<const int64_t> channels,
                                     Deadline deadline) {
  const CountWhile waiting(waits_in_collectives_, kind == PacketKind::kUser ? 0 : 1);
  std::unique_lock lock(mutex_);
  for (;;) {
    ThrowIfFailed();
    if (auto packet = Find(group, kind, source, channels)) return packet;
    if (arrived_.wait_until(lock, deadline) == std::cv_status::timeout) {
      ThrowIfFailed();
      return Find(group, kind, source, channels);
    }
  }
}

void Endpoint::EnterCollective(uint64_t group, int64_t number) {
  const std::lock_guard lock(mutex_);
  entered_[group] = number;
}

void Endpoint::Deliver(Packet packet) {
  if (packet.kind == PacketKind::kProbe) {
    Packet reply{.group = packet.group, .kind = PacketKind::kProbeReply, .channel = packet.channel, .payload = {}};
    {
      const std::lock_guard lock(mutex_);
      if (failure_) return;
      const auto entered = entered_.find(packet.group);
      reply.extra = entered == entered_.end() ? 0 : static_cast<uint64_t>(entered->second);
    }
    Send(packet.source, std::move(reply));
    return;
  }
  const std::lock_guard lock(mutex_);
  const Key key{packet.group, packet.kind, packet.channel};
  boxes_[key].push_back({order_++, std::move(packet)});
  arrived_.notify_all();
}

void Endpoint::Fail(const std::string& reason) {
  const std::lock_guard lock(mutex_);
  if (!failure_) failure_ = reason;
  arrived_.notify_all();
}

}  // namespace hullft::comm
