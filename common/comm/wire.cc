#include "common/comm/wire.h"

#include <filesystem>
#include <new>

#include "common/hash.h"

namespace hullft::comm::wire {
namespace {

template <class T>
T Load(std::string_view bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

[[noreturn]] void ThrowPeer(const Peer& peer, std::string_view fault, std::string hint) {
  throw Error(Code::kPeer, fmt::format("message from rank {} on {}: {}", peer.rank, peer.host, fault), std::move(hint));
}

constexpr const char* kSameBinary = "start every rank from the same hullft binary";

// The type; throws unless the frame is whole.
uint16_t CheckFrame(std::string_view message, const Peer& peer) {
  if (message.size() < kHeaderBytes + kChecksumBytes) {
    ThrowPeer(peer,
              fmt::format("truncated: {} bytes, the shortest has {}", message.size(), kHeaderBytes + kChecksumBytes),
              "");
  }
  if (message.substr(0, kMagic.size()) != kMagic) ThrowPeer(peer, "not a hullft message (wrong magic)", kSameBinary);
  const auto version = Load<uint16_t>(message, 4);
  if (version != kVersion) {
    ThrowPeer(peer, fmt::format("wire version {}, this rank speaks {}", version, kVersion), kSameBinary);
  }
  const auto length = Load<uint64_t>(message, 8);
  const uint64_t body = message.size() - kHeaderBytes - kChecksumBytes;
  if (length != body) ThrowPeer(peer, fmt::format("its header says {} body bytes, {} came", length, body), "");
  const size_t end = message.size() - kChecksumBytes;
  if (Load<uint64_t>(message, end) != Hash64(message.substr(0, end))) {
    ThrowPeer(peer, fmt::format("checksum mismatch over {} bytes", end), "the network or memory damaged it");
  }
  return Load<uint16_t>(message, 6);
}

}  // namespace

bool Whole(std::string_view message) {
  if (message.size() < kHeaderBytes + kChecksumBytes) return false;
  const size_t end = message.size() - kChecksumBytes;
  return Load<uint64_t>(message, 8) == end - kHeaderBytes &&
         Load<uint64_t>(message, end) == Hash64(message.substr(0, end));
}

Writer::Writer(uint16_t type) : bytes_(kMagic) {
  Put(kVersion);
  Put(type);
  Put(uint64_t{0});
}

std::string Writer::Finish() && {
  const uint64_t body = bytes_.size() - kHeaderBytes;
  std::memcpy(bytes_.data() + 8, &body, sizeof body);
  Put(Hash64(bytes_));
  return std::move(bytes_);
}

Reader::Reader(uint16_t expected_type, std::string_view message, Peer peer)
    : peer_(std::move(peer)), type_(expected_type) {
  const uint16_t type = CheckFrame(message, peer_);
  if (type != expected_type) {
    ThrowPeer(peer_, fmt::format("message type {}, expected type {}", type, expected_type), kSameBinary);
  }
  body_ = message.substr(kHeaderBytes, message.size() - kHeaderBytes - kChecksumBytes);
}

uint16_t Reader::Type(std::string_view message, const Peer& peer) {
  return CheckFrame(message, peer);
}

void Reader::Finish() const {
  if (at_ != body_.size()) Fail(fmt::format("{} bytes left after the last field", body_.size() - at_));
}

const char* Reader::Take(size_t size) {
  if (size > body_.size() - at_) {
    Fail(fmt::format("a field of {} bytes at {} of a body of {}", size, at_, body_.size()));
  }
  const char* data = body_.data() + at_;
  at_ += size;
  return data;
}

uint64_t Reader::Count(size_t element_bytes) {
  uint64_t count = 0;
  Get(count);
  const uint64_t room = (body_.size() - at_) / element_bytes;
  if (count > room) Fail(fmt::format("a list of {} elements where at most {} fit", count, room));
  return count;
}

void Reader::Fail(std::string_view fault) const {
  ThrowPeer(peer_, fmt::format("type {}: {}", type_, fault), kSameBinary);
}

Failure Failure::From(const std::exception& error) {
  if (const auto* own = dynamic_cast<const Error*>(&error)) {
    return {std::string(CodeName(own->code())), own->message(), own->hint()};
  }
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) {
    return {std::string(CodeName(Code::kMemory)), "out of memory", ""};
  }
  if (dynamic_cast<const std::filesystem::filesystem_error*>(&error) != nullptr) {
    return {std::string(CodeName(Code::kIo)), error.what(), ""};
  }
  return {std::string(CodeName(Code::kInternal)), error.what(), ""};
}

void Failure::Throw(const Peer& from) const {
  throw Error(CodeFromName(code), fmt::format("rank {} on {}: {}", from.rank, from.host, message), hint);
}

}  // namespace hullft::comm::wire
