#include "common/comm/group.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>

#include "common/error.h"
#include "common/hash.h"

namespace hullft::comm {
namespace {

std::string Pack(std::span<const ScoredId> values) {
  static_assert(sizeof(ScoredId) == 16 && std::endian::native == std::endian::little);
  return {reinterpret_cast<const char*>(values.data()), values.size_bytes()};
}

}  // namespace

bool Better(const ScoredId& a, const ScoredId& b) {
  if (std::isnan(a.score) != std::isnan(b.score)) return std::isnan(b.score);
  if (a.score != b.score && !std::isnan(a.score)) return a.score > b.score;
  return a.id < b.id;
}

GroupCommunicator::GroupCommunicator(Endpoint& endpoint, uint64_t group, std::vector<int> members)
    : endpoint_(endpoint), group_(group), members_(std::move(members)) {
  for (const int member : members_) hosts_.push_back(endpoint.hosts().at(static_cast<size_t>(member)));
  rank_ = GroupRank(endpoint.rank());
  HULLFT_CHECK(rank_ < size() && members_[static_cast<size_t>(rank_)] == endpoint.rank());
}

std::unique_ptr<GroupCommunicator> GroupCommunicator::World(Endpoint& endpoint) {
  std::vector<int> everyone(endpoint.hosts().size());
  std::iota(everyone.begin(), everyone.end(), 0);
  return std::make_unique<GroupCommunicator>(endpoint, 0, std::move(everyone));
}

int GroupCommunicator::GroupRank(int world_rank) const {
  return static_cast<int>(std::lower_bound(members_.begin(), members_.end(), world_rank) - members_.begin());
}

std::string GroupCommunicator::Who(int rank) const {
  const auto r = static_cast<size_t>(rank);
  return fmt::format("rank {} on host {}", members_[r], hosts_[r]);
}

void GroupCommunicator::CheckRank(int rank, const char* what) const {
  if (rank >= 0 && rank < size()) return;
  throw Error(Code::kInternal, fmt::format("{} {} in a group of {} ranks", what, rank, size()));
}

void GroupCommunicator::Count(int peer, size_t bytes, bool sent) {
  if (peer == rank_) return;
  ++(sent ? messages_sent_ : messages_received_);
  (sent ? bytes_sent_ : bytes_received_) += static_cast<int64_t>(bytes);
}

Traffic GroupCommunicator::traffic() const {
  return {messages_sent_, messages_received_, bytes_sent_, bytes_received_};
}

// ---- point to point

void GroupCommunicator::Send(int destination, int tag, std::string payload) {
  CheckRank(destination, "send to rank");
  const size_t bytes = payload.size();
  endpoint_.Send(members_[static_cast<size_t>(destination)],
                 {.group = group_, .kind = PacketKind::kUser, .channel = tag, .payload = std::move(payload)});
  Count(destination, bytes, true);
}

std::optional<Envelope> GroupCommunicator::Receive(int source, std::span<const int> tags, Deadline deadline) {
  if (source != kAnySource) {
    CheckRank(source, "receive from rank");
    source = members_[static_cast<size_t>(source)];
  }
  const std::vector<int64_t> channels(tags.begin(), tags.end());
  auto packet = endpoint_.Take(group_, PacketKind::kUser, source, channels, deadline);
  if (!packet) return std::nullopt;
  const int from = GroupRank(packet->source);
  Count(from, packet->payload.size(), false);
  return Envelope{from, static_cast<int>(packet->channel), std::move(packet->payload)};
}

// ---- collectives

const char* GroupCommunicator::Name(Operation operation) {
  switch (operation) {
    case Operation::kBarrier:
      return "barrier";
    case Operation::kBroadcast:
      return "broadcast";
    case Operation::kGather:
      return "gather";
    case Operation::kMaxReduce:
      return "max-reduce";
    case Operation::kSplit:
      return "split";
  }
  return "unknown collective";
}

GroupCommunicator::Round GroupCommunicator::Enter(Operation operation, Deadline deadline) {
  endpoint_.EnterCollective(group_, ++entered_);
  return {operation, entered_, deadline};
}

void GroupCommunicator::SendRound(const Round& round, int to, std::string payload, uint64_t extra) {
  const size_t bytes = payload.size();
  endpoint_.Send(members_[static_cast<size_t>(to)], {.group = group_,
                                                     .kind = PacketKind::kCollective,
                                                     .operation = static_cast<uint8_t>(round.operation),
                                                     .channel = round.number,
                                                     .extra = extra,
                                                     .payload = std::move(payload)});
  Count(to, bytes, true);
}

Packet GroupCommunicator::ReceiveRound(const Round& round, int from) {
  auto packet = endpoint_.Take(group_, PacketKind::kCollective, members_[static_cast<size_t>(from)],
                               std::span(&round.number, 1), round.deadline);
  if (!packet) ThrowMissing(round, from);
  Count(from, packet->payload.size(), false);
  if (packet->operation != static_cast<uint8_t>(round.operation)) {
    ThrowPeer(round, from, fmt::format("is in a {} instead", Name(static_cast<Operation>(packet->operation))));
  }
  return *std::move(packet);
}

void GroupCommunicator::ThrowPeer(const Round& round, int peer, const std::string& fault) const {
  throw Error(Code::kPeer,
              fmt::format("{} {} of {} ranks: {} {}", Name(round.operation), round.number, size(), Who(peer), fault));
}

void GroupCommunicator::ThrowMissing(const Round& round, int waited_for) {
  for (int r = 0; r < size(); ++r) {
    if (r == rank_) continue;
    endpoint_.Send(members_[static_cast<size_t>(r)],
                   {.group = group_, .kind = PacketKind::kProbe, .channel = round.number, .payload = {}});
  }
  std::vector<bool> answered(members_.size(), false);
  std::string late, silent;
  const Deadline until = After(kProbeWait);
  for (int answers = 1; answers < size(); ++answers) {
    const auto reply = endpoint_.Take(group_, PacketKind::kProbeReply, kAnySource, std::span(&round.number, 1), until);
    if (!reply) break;
    const int r = GroupRank(reply->source);
    answered[static_cast<size_t>(r)] = true;
    if (static_cast<int64_t>(reply->extra) < round.number) late += (late.empty() ? "" : ", ") + Who(r);
  }
  for (int r = 0; r < size(); ++r) {
    if (r != rank_ && !answered[static_cast<size_t>(r)]) silent += (silent.empty() ? "" : ", ") + Who(r);
  }
  std::string fault;
  if (!silent.empty()) fault += fmt::format("; no sign of life from {}", silent);
  if (!late.empty()) fault += fmt::format("; not yet entered by {}", late);
  if (fault.empty()) fault = fmt::format("; all ranks are in it, the message of {} is late", Who(waited_for));
  throw Error(Code::kPeer,
              fmt::format("{} {} of {} ranks passed its deadline on {}{}", Name(round.operation), round.number, size(),
                          Who(rank_), fault),
              "see the log of the rank that is named: it died, hangs, or needs a longer deadline");
}

void GroupCommunicator::Barrier(Deadline deadline) {
  const Round round = Enter(Operation::kBarrier, deadline);
  for (int step = 1; step < size(); step *= 2) {
    SendRound(round, (rank_ + step) % size(), "");
    ReceiveRound(round, (rank_ - step + size()) % size());
  }
}

std::string GroupCommunicator::Broadcast(int root, std::string payload, Deadline deadline) {
  CheckRank(root, "broadcast from rank");
  return BroadcastIn(Enter(Operation::kBroadcast, deadline), root, std::move(payload));
}

// Binomial tree over ranks relative to the root: the parent of r is r without its lowest bit, its children are r plus
// every smaller bit. Pieces go on as soon as they come: a large payload costs one transfer and log2(size) pieces of
// delay.
std::string GroupCommunicator::BroadcastIn(const Round& round, int root, std::string payload) {
  const int relative = (rank_ - root + size()) % size();
  int bit = 1;
  while (bit < size() && (relative & bit) == 0) bit *= 2;
  std::vector<int> children;
  for (int b = bit / 2; b > 0; b /= 2) {
    if (relative + b < size()) children.push_back((relative + b + root) % size());
  }
  if (relative == 0) {
    size_t at = 0;
    do {
      const size_t piece = std::min(kBroadcastPiece, payload.size() - at);
      for (const int child : children) SendRound(round, child, payload.substr(at, piece), payload.size());
      at += piece;
    } while (at < payload.size());
    return payload;
  }
  const int parent = (relative - bit + root) % size();
  std::string result;
  uint64_t total = 0;
  do {
    Packet packet = ReceiveRound(round, parent);
    total = packet.extra;
    for (const int child : children) SendRound(round, child, packet.payload, total);
    if (packet.payload.size() > total - result.size() || (packet.payload.empty() && total > 0)) {
      ThrowPeer(round, parent,
                fmt::format("sent a piece of {} bytes at {} of {}", packet.payload.size(), result.size(), total));
    }
    if (result.empty() && packet.payload.size() == total) return std::move(packet.payload);
    result.reserve(total);
    result += packet.payload;
  } while (result.size() < total);
  return result;
}

std::vector<std::string> GroupCommunicator::Gather(int root, std::string payload, Deadline deadline) {
  CheckRank(root, "gather to rank");
  return GatherIn(Enter(Operation::kGather, deadline), root, std::move(payload));
}

std::vector<std::string> GroupCommunicator::GatherIn(const Round& round, int root, std::string payload) {
  if (rank_ != root) {
    SendRound(round, root, std::move(payload));
    return {};
  }
  std::vector<std::string> all;
  for (int r = 0; r < size(); ++r) {
    // NOLINTNEXTLINE(bugprone-use-after-move): it is rank_ in one turn alone
    all.push_back(r == rank_ ? std::move(payload) : ReceiveRound(round, r).payload);
  }
  return all;
}

void GroupCommunicator::TakeBest(const Round& round, int from, std::vector<ScoredId>& best) {
  const Packet packet = ReceiveRound(round, from);
  if (packet.payload.size() != best.size() * sizeof(ScoredId)) {
    ThrowPeer(
        round, from,
        fmt::format("sent {} values where this rank has {}", packet.payload.size() / sizeof(ScoredId), best.size()));
  }
  for (size_t i = 0; i < best.size(); ++i) {
    ScoredId theirs;
    std::memcpy(&theirs, packet.payload.data() + i * sizeof theirs, sizeof theirs);
    if (Better(theirs, best[i])) best[i] = theirs;
  }
}

// Recursive doubling among p = the largest power of two ranks; the ranks beyond it hand their values to a neighbour
// first and get the result from it. At most log2(size) + 2 steps of 16 bytes an element.
std::vector<ScoredId> GroupCommunicator::MaxReduce(std::span<const ScoredId> values, Deadline deadline) {
  const Round round = Enter(Operation::kMaxReduce, deadline);
  std::vector<ScoredId> best(values.begin(), values.end());
  const int power = static_cast<int>(std::bit_floor(static_cast<unsigned>(size())));
  const int extra = size() - power;  // ranks 2i and 2i + 1 for i < extra share one place
  if (rank_ < 2 * extra && rank_ % 2 == 1) {
    SendRound(round, rank_ - 1, Pack(best));
    TakeBest(round, rank_ - 1, best);
    return best;
  }
  if (rank_ < 2 * extra) TakeBest(round, rank_ + 1, best);
  const int place = rank_ < 2 * extra ? rank_ / 2 : rank_ - extra;
  for (int bit = 1; bit < power; bit *= 2) {
    const int other = place ^ bit;
    const int partner = other < extra ? 2 * other : other + extra;
    SendRound(round, partner, Pack(best));
    TakeBest(round, partner, best);
  }
  if (rank_ < 2 * extra) SendRound(round, rank_ + 1, Pack(best));
  return best;
}

std::unique_ptr<Communicator> GroupCommunicator::Split(int color, Deadline deadline) {
  const Round round = Enter(Operation::kSplit, deadline);
  const auto colors_of = [](const std::string& bytes) {
    std::vector<int32_t> colors(bytes.size() / sizeof(int32_t));
    std::memcpy(colors.data(), bytes.data(), colors.size() * sizeof(int32_t));
    return colors;
  };
  const int32_t mine = color;
  std::string all;
  for (const std::string& one : GatherIn(round, 0, {reinterpret_cast<const char*>(&mine), sizeof mine})) all += one;
  const auto colors = colors_of(BroadcastIn(round, 0, std::move(all)));
  if (static_cast<int>(colors.size()) != size()) ThrowPeer(round, 0, "sent a wrong number of colors");
  if (color < 0) return nullptr;
  std::vector<int> members;
  for (size_t r = 0; r < colors.size(); ++r) {
    if (colors[r] == color) members.push_back(members_[r]);
  }
  const uint64_t group = Hash64(fmt::format("{}/{}/{}", group_, round.number, color));
  return std::make_unique<GroupCommunicator>(endpoint_, group, std::move(members));
}

}  // namespace hullft::comm
