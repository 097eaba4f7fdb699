#include "common/comm/in_process.h"

#include "common/comm/group.h"
#include "common/comm/launch.h"
#include "common/error.h"

namespace hullft::comm {

struct InProcessWorld::Rank final : Endpoint {
  Rank(int rank, const std::vector<std::string>& hosts, std::vector<std::unique_ptr<Rank>>& all)
      : Endpoint(rank, hosts), all(all), communicator(GroupCommunicator::World(*this)) {}

  void Carry(int destination, Packet packet) override {
    all[static_cast<size_t>(destination)]->Deliver(std::move(packet));
  }
  void Abort(const std::string& why) override {
    const std::string reason =
        fmt::format("rank {} on host {} aborted the run: {}", rank(), hosts()[static_cast<size_t>(rank())], why);
    for (const auto& one : all) one->Fail(reason);
  }

  std::vector<std::unique_ptr<Rank>>& all;
  std::unique_ptr<GroupCommunicator> communicator;
};

InProcessWorld::InProcessWorld(int size, std::vector<std::string> hosts) {
  if (hosts.empty()) hosts.assign(static_cast<size_t>(size), HostName());
  HULLFT_CHECK(size > 0 && hosts.size() == static_cast<size_t>(size));
  for (int r = 0; r < size; ++r) ranks_.push_back(std::make_unique<Rank>(r, hosts, ranks_));
}

InProcessWorld::~InProcessWorld() = default;

int InProcessWorld::size() const {
  return static_cast<int>(ranks_.size());
}

Communicator& InProcessWorld::rank(int rank) {
  return *ranks_.at(static_cast<size_t>(rank))->communicator;
}

}  // namespace hullft::comm
