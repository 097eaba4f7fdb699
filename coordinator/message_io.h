// Sending and reading a run's messages (messages.h, round_messages.h). Errors of reading name the rank and host that
// sent. Thread safety: that of the communicator.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/comm/communicator.h"
#include "common/comm/wire.h"
#include "common/error.h"
#include "coordinator/messages.h"

namespace hullft::coordinator {

using comm::wire::Peer;

// What is left of a damaged message to a shard or a worker says as much: nothing else is as short as Stop.
inline bool WasStop(const comm::Envelope& damaged) {
  static const size_t stop_bytes = comm::wire::Encode(Stop::kType, Stop{}).size();
  return damaged.payload.size() == stop_bytes;
}

inline Bye MakeBye(const comm::Communicator& world, bool worker) {
  const comm::Traffic traffic = world.traffic();
  return {worker, traffic.messages_sent, traffic.messages_received, traffic.bytes_sent, traffic.bytes_received};
}

template <class T>
void SendMessage(comm::Communicator& world, int destination, int tag, const T& message) {
  world.Send(destination, tag, comm::wire::Encode(T::kType, message));
}

inline Peer PeerOf(const comm::Communicator& world, const comm::Envelope& envelope) {
  return {envelope.source, world.hosts()[static_cast<size_t>(envelope.source)]};
}

inline uint16_t TypeOf(const comm::Communicator& world, const comm::Envelope& envelope) {
  return comm::wire::Reader::Type(envelope.payload, PeerOf(world, envelope));
}

template <class T>
T Decode(const comm::Communicator& world, const comm::Envelope& envelope) {
  return comm::wire::Decode<T>(T::kType, envelope.payload, PeerOf(world, envelope));
}

// A message of a type that its receiver has no use for: a bug, or another version.
[[noreturn]] inline void ThrowUnexpected(const comm::Communicator& world, const comm::Envelope& envelope) {
  throw Error(
      Code::kPeer,
      fmt::format("rank {} on {} sent a message of type {} under tag {}, which is not expected there", envelope.source,
                  world.hosts()[static_cast<size_t>(envelope.source)], TypeOf(world, envelope), envelope.tag));
}

}  // namespace hullft::coordinator
