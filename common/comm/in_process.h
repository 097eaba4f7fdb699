// Threads of one process as ranks: the communicator of a plain `hullft run`, and of tests. No MPI.
//
//   InProcessWorld world(2);
//   std::jthread worker([&] { Work(world.rank(1)); });
//   Coordinate(world.rank(0));
//
// A payload moves from Send to Receive without a copy. Abort on any rank makes every wait and send of every rank throw
// kPeer with the reason. The world outlives its communicators and those split from them. Thread safety: as
// Communicator.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/comm/communicator.h"

namespace hullft::comm {

class InProcessWorld {
 public:
  // hosts: one per rank, or empty for this machine's name.
  explicit InProcessWorld(int size, std::vector<std::string> hosts = {});
  ~InProcessWorld();
  InProcessWorld(const InProcessWorld&) = delete;
  InProcessWorld& operator=(const InProcessWorld&) = delete;

  int size() const;
  Communicator& rank(int rank);

 private:
  struct Rank;
  std::vector<std::unique_ptr<Rank>> ranks_;
};

}  // namespace hullft::comm
