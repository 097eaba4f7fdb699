#include "common/comm/mpi_link.h"

#include <sched.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstdio>
#include <cstring>

#include "common/comm/launch.h"
#include "common/error.h"
#include "common/log.h"
#include "common/printable.h"

namespace hullft::comm {
namespace {

enum Tag : int { kHeadTag = 1, kPieceTag = 2 };

// Payloads up to this ride with their head: one message and one copy, rather than two messages.
constexpr size_t kInlineBytes = size_t{32} << 10;
constexpr uint32_t kMagic = 0x31504648;  // "HFP1"

struct Head {
  uint32_t magic = kMagic;
  PacketKind kind = PacketKind::kUser;
  uint8_t operation = 0;
  uint16_t unused = 0;
  uint64_t group = 0;
  int64_t channel = 0;
  uint64_t extra = 0;
  uint64_t payload_bytes = 0;
  uint64_t piece_bytes = 0;  // 0: the payload rides with the head
};
static_assert(sizeof(Head) == 48);

void Check(int status, const char* call) {
  if (status == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  // ignored: the text stays empty, the call is named
  MPI_Error_string(status, text.data(), &length);
  throw Error(Code::kPeer, fmt::format("{} failed: {}", call, text.data()),
              "a rank or the network was lost; the run goes on from its journal when started again");
}

}  // namespace

MpiLink::MpiLink(const MpiOptions& options)
    : piece_bytes_(std::clamp<size_t>(options.piece_bytes, 1, static_cast<size_t>(INT_MAX))) {
  int done = 0, provided = 0;
  Check(MPI_Initialized(&done), "MPI_Initialized");
  HULLFT_CHECK(done == 0, "MPI can be started once in a process");
  if (const std::string warning = OpenFenceWarning(); !warning.empty()) spdlog::warn(warning);
  Check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread");
  Check(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  Check(MPI_Comm_rank(MPI_COMM_WORLD, &rank_), "MPI_Comm_rank");
  Check(MPI_Comm_size(MPI_COMM_WORLD, &size_), "MPI_Comm_size");
  try {
    if (provided < MPI_THREAD_FUNNELED) {
      throw Error(Code::kUsage,
                  fmt::format("this MPI gives thread level {}, {} (MPI_THREAD_FUNNELED) is needed", provided,
                              MPI_THREAD_FUNNELED),
                  "use an MPI that was built with thread support");
    }
    CheckWorldSize(size_);
    GatherHosts(options.start_deadline);
  } catch (const Error& error) {
    if (size_ > 1) {  // the others may not have failed
      std::fprintf(stderr, "hullft: rank %d on host %s: %s\n", rank_, HostName().c_str(),
                   Printable(error.what()).c_str());
      Abort(ExitStatus(error.code()));
    }
    MPI_Finalize();  // ignored: what went wrong before is thrown
    throw;
  }
}

void MpiLink::GatherHosts(std::chrono::milliseconds wait) {
  constexpr size_t kNameBytes = 256;
  std::string mine = HostName();
  mine.resize(kNameBytes, '\0');
  std::string all(kNameBytes * static_cast<size_t>(size_), '\0');
  MPI_Request request = MPI_REQUEST_NULL;
  Check(MPI_Iallgather(mine.data(), kNameBytes, MPI_CHAR, all.data(), kNameBytes, MPI_CHAR, MPI_COMM_WORLD, &request),
        "MPI_Iallgather");
  const Deadline deadline = After(wait);
  for (int done = 0; done == 0; sched_yield()) {
    Check(MPI_Test(&request, &done, MPI_STATUS_IGNORE), "MPI_Test");
    if (done == 0 && Clock::now() > deadline) {
      throw Error(Code::kPeer, fmt::format("the {} ranks did not all start within {} s", size_, wait.count() / 1000),
                  "see which rank's log is missing");
    }
  }
  for (int r = 0; r < size_; ++r) hosts_.emplace_back(all.data() + static_cast<size_t>(r) * kNameBytes);
}

std::string MpiLink::Who(int rank) const {
  return fmt::format("rank {} on host {}", rank, hosts_.at(static_cast<size_t>(rank)));
}

void MpiLink::Start(int destination, Packet packet) {
  const size_t bytes = packet.payload.size();
  const bool rides = bytes <= std::min(kInlineBytes, piece_bytes_);
  const Head head{.kind = packet.kind,
                  .operation = packet.operation,
                  .group = packet.group,
                  .channel = packet.channel,
                  .extra = packet.extra,
                  .payload_bytes = bytes,
                  .piece_bytes = rides ? 0 : piece_bytes_};
  auto out = std::make_shared<Outbound>();
  out->head.reserve(sizeof head + (rides ? bytes : 0));
  out->head.append(reinterpret_cast<const char*>(&head), sizeof head);
  if (rides) {
    out->head += packet.payload;
  } else {
    out->payload = std::move(packet.payload);
  }
  const auto send = [&](const char* data, size_t size, int tag) {
    Check(MPI_Isend(data, static_cast<int>(size), MPI_BYTE, destination, tag, MPI_COMM_WORLD,
                    &requests_.emplace_back(MPI_REQUEST_NULL)),
          "MPI_Isend");
    owners_.push_back(out);
  };
  send(out->head.data(), out->head.size(), kHeadTag);
  for (size_t at = 0; at < out->payload.size(); at += piece_bytes_) {
    send(out->payload.data() + at, std::min(piece_bytes_, out->payload.size() - at), kPieceTag);
  }
}

bool MpiLink::Advance(const std::function<void(Packet)>& arrived) {
  bool moved = Probe();
  for (auto source = inbound_.begin(); source != inbound_.end();) {
    moved |= AdvanceSource(source->first, source->second, arrived);
    source = source->second.empty() ? inbound_.erase(source) : std::next(source);
  }
  moved |= AdvanceSends();
  return moved;
}

bool MpiLink::Probe() {
  bool found = false;
  for (int i = 0; i < 64; ++i) {  // bounded, so that a flood of messages does not starve the sends
    int here = 0;
    MPI_Message message = MPI_MESSAGE_NULL;
    MPI_Status status;
    Check(MPI_Improbe(MPI_ANY_SOURCE, kHeadTag, MPI_COMM_WORLD, &here, &message, &status), "MPI_Improbe");
    if (here == 0) break;
    found = true;
    int bytes = 0;
    Check(MPI_Get_count(&status, MPI_BYTE, &bytes), "MPI_Get_count");
    Inbound& inbound = inbound_[status.MPI_SOURCE].emplace_back();
    inbound.head.resize(static_cast<size_t>(bytes));
    Check(MPI_Imrecv(inbound.head.data(), bytes, MPI_BYTE, &message, &inbound.requests.emplace_back(MPI_REQUEST_NULL)),
          "MPI_Imrecv");
  }
  return found;
}

bool MpiLink::AdvanceSource(int source, std::deque<Inbound>& queue, const std::function<void(Packet)>& arrived) {
  bool moved = false;
  while (!queue.empty()) {
    Inbound& first = queue.front();
    int done = 0;
    Check(MPI_Testall(static_cast<int>(first.requests.size()), first.requests.data(), &done, MPI_STATUSES_IGNORE),
          "MPI_Testall");
    if (done == 0) break;
    moved = true;
    first.requests.clear();
    if (!first.head_done) {
      OpenHead(source, first);
      if (!first.requests.empty()) continue;
    }
    Packet packet = std::move(first.packet);
    queue.pop_front();
    arrived(std::move(packet));
  }
  return moved;
}

void MpiLink::OpenHead(int source, Inbound& inbound) {
  Head head;
  const bool long_enough = inbound.head.size() >= sizeof head;
  if (long_enough) std::memcpy(&head, inbound.head.data(), sizeof head);
  const size_t riding = long_enough ? inbound.head.size() - sizeof head : 0;
  if (!long_enough || head.magic != kMagic || riding != (head.piece_bytes == 0 ? head.payload_bytes : 0)) {
    throw Error(
        Code::kPeer,
        fmt::format("packet from {}: its head of {} bytes is none of hullft's", Who(source), inbound.head.size()),
        "start every rank from the same hullft binary");
  }
  inbound.head_done = true;
  inbound.packet = {.group = head.group,
                    .source = source,
                    .kind = head.kind,
                    .operation = head.operation,
                    .channel = head.channel,
                    .extra = head.extra,
                    .payload = {}};
  std::string& payload = inbound.packet.payload;
  if (head.piece_bytes == 0) {
    inbound.head.erase(0, sizeof head);
    payload = std::move(inbound.head);
    return;
  }
  payload.resize(head.payload_bytes);
  for (size_t at = 0; at < payload.size(); at += head.piece_bytes) {
    const size_t piece = std::min<size_t>(head.piece_bytes, payload.size() - at);
    Check(MPI_Irecv(payload.data() + at, static_cast<int>(piece), MPI_BYTE, source, kPieceTag, MPI_COMM_WORLD,
                    &inbound.requests.emplace_back(MPI_REQUEST_NULL)),
          "MPI_Irecv");
  }
}

bool MpiLink::AdvanceSends() {
  if (requests_.empty()) return false;
  done_.resize(requests_.size());
  int count = 0;
  Check(MPI_Testsome(static_cast<int>(requests_.size()), requests_.data(), &count, done_.data(), MPI_STATUSES_IGNORE),
        "MPI_Testsome");
  if (count == MPI_UNDEFINED || count == 0) return false;
  std::sort(done_.begin(), done_.begin() + count, std::greater<>());
  for (int i = 0; i < count; ++i) {  // from the back, so that what is moved into a hole is still under way
    const auto at = static_cast<size_t>(done_[static_cast<size_t>(i)]);
    requests_[at] = requests_.back();
    owners_[at] = std::move(owners_.back());
    requests_.pop_back();
    owners_.pop_back();
  }
  return true;
}

void MpiLink::Finalize() {
  Check(MPI_Finalize(), "MPI_Finalize");
}

void MpiLink::Abort(int exit_status) {
  MPI_Abort(MPI_COMM_WORLD, exit_status);  // ignored: the exit below ends the job as well
  std::_Exit(exit_status);
}

}  // namespace hullft::comm
