// Ranks of an MPI job. One thread of the process makes every MPI call (MPI_THREAD_FUNNELED), all of them non-blocking;
// the other threads hand it packets and take theirs from the endpoint's boxes. Needs the target hullft_comm_mpi.
//
//   MpiWorld mpi;                              // MPI_Init; throws kUsage when the launcher's ranks are not all in it
//   try { Run(mpi.world()); mpi.Shutdown(After(60s)); }
//   catch (const Error& e) { Print(e); mpi.Abort(e.what(), ExitStatus(e.code())); }
//
// Ask InMpiLaunch() (launch.h) first: a plain start must not touch MPI. Once per process. Idle, the thread polls about
// once a millisecond; while this rank waits in a collective or a transfer is under way, more often.
// Plain MPI cannot outlive a rank: a launcher ends the others, or their deadlines do; both end in Abort.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "common/comm/communicator.h"

namespace hullft::comm {

struct MpiOptions {
  // The largest piece of a payload in one MPI message. MPI counts are ints; tests lower it to cut small payloads.
  size_t piece_bytes = size_t{1} << 30;
  // For the exchange of host names at start, when a rank has died or another program is in the world.
  std::chrono::milliseconds start_deadline{60'000};
};

class MpiWorld {
 public:
  // Collective over the MPI job.
  explicit MpiWorld(const MpiOptions& options = {});
  // Without an earlier Shutdown the job is aborted: others would wait for this rank for ever.
  ~MpiWorld();
  MpiWorld(const MpiWorld&) = delete;
  MpiWorld& operator=(const MpiWorld&) = delete;

  Communicator& world();
  // Collective over the MPI job. Completes every message under way in either direction, then finalizes MPI; what was
  // never received is dropped. Throws kPeer, naming the ranks that did not come, at the deadline; then call Abort.
  void Shutdown(Deadline deadline);
  // Prints rank, host and why on standard error and ends every rank of the job with this exit status.
  [[noreturn]] void Abort(const std::string& why, int exit_status);

 private:
  class Post;
  std::unique_ptr<Post> post_;
  std::unique_ptr<Communicator> world_;
  bool shut_down_ = false;
};

}  // namespace hullft::comm
