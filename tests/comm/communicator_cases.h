// What every communicator must do: bodies that each rank of a fresh group runs, whatever carries the messages. Run by
// in_process_test.cc with threads as ranks and by comm_mpi_test.cc under mpirun.
#pragma once

#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "common/comm/communicator.h"

namespace hullft::comm {

struct CommunicatorCase {
  std::string name;
  std::function<void(Communicator&)> body;  // uses EXPECT; every rank calls it
};
inline std::ostream& operator<<(std::ostream& out, const CommunicatorCase& one) {
  return out << one.name;
}

const std::vector<CommunicatorCase>& CommunicatorCases();

}  // namespace hullft::comm
