// Ranks for a benchmark: threads of this process, or under mpirun and srun the ranks of the job. The same code runs on
// both, so that what is measured in process can be measured between processes too.
#pragma once

#include <functional>
#include <memory>

#include "common/comm/communicator.h"

namespace hullft::coordinator {

class BenchWorld {
 public:
  // Under MPI collective over the job, as are On and Close: every rank makes the same calls.
  BenchWorld();
  ~BenchWorld();
  BenchWorld(const BenchWorld&) = delete;
  BenchWorld& operator=(const BenchWorld&) = delete;

  bool first() const;           // this process measures and prints
  int capacity() const;         // ranks there are at most; in process as many as asked for
  const char* carrier() const;  // "threads" or "MPI"

  // Runs body on ranks 0 to `ranks` - 1 of a new communicator and returns when all of them are done; the others rest.
  // The first exception is thrown here; under MPI it ends the job.
  void On(int ranks, const std::function<void(comm::Communicator&)>& body);
  // Ends MPI in order; call it last.
  void Close();

 private:
  struct Mpi;
  std::unique_ptr<Mpi> mpi_;  // nothing in one process
};

}  // namespace hullft::coordinator
