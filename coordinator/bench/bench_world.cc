#include "coordinator/bench/bench_world.h"

#include <exception>
#include <limits>
#include <thread>
#include <vector>

#include "common/comm/in_process.h"
#include "common/comm/launch.h"
#ifdef HULLFT_MPI
#include "common/comm/mpi.h"
#endif
#include "common/error.h"
#include "common/log.h"

namespace hullft::coordinator {
namespace {

constexpr std::chrono::minutes kWait{30};  // for the slowest measurement of another rank
constexpr int kGoOnTag = 1;

void OnThreads(int ranks, const std::function<void(comm::Communicator&)>& body) {
  comm::InProcessWorld world(ranks);
  std::vector<std::exception_ptr> errors(static_cast<size_t>(ranks));
  const auto run = [&](int rank) {
    try {
      body(world.rank(rank));
    } catch (const std::exception& error) {
      errors[static_cast<size_t>(rank)] = std::current_exception();
      world.rank(rank).Abort(error.what());  // the others must not wait for it
    }
  };
  std::vector<std::thread> threads;
  for (int r = 1; r < ranks; ++r) threads.emplace_back(run, r);
  run(0);
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

}  // namespace

#ifdef HULLFT_MPI

struct BenchWorld::Mpi {
  comm::MpiWorld mpi;

  comm::Communicator& world() { return mpi.world(); }
  void Close() { mpi.Shutdown(comm::After(kWait)); }
  // Ranks without a part wait for a message and not in a collective, in which they would poll more often.
  void On(int ranks, const std::function<void(comm::Communicator&)>& body) {
    HULLFT_CHECK(ranks <= world().size());
    try {
      const auto group = world().Split(world().rank() < ranks ? 0 : -1, comm::After(kWait));
      if (group) {
        body(*group);
        group->Barrier(comm::After(kWait));
      }
      if (world().rank() == 0) {
        for (int r = ranks; r < world().size(); ++r) world().Send(r, kGoOnTag, "");
      } else if (!group && !world().Receive(0, std::span(&kGoOnTag, 1), comm::After(kWait))) {
        throw Error(Code::kPeer, "rank 0 did not end its measurement");
      }
    } catch (const Error& error) {
      mpi.Abort(error.what(), ExitStatus(error.code()));
    }
  }
};

#else

struct BenchWorld::Mpi {
  Mpi() { throw Error(Code::kUsage, "this build has no MPI", "start hullft without mpirun or srun"); }
  comm::Communicator& world() { throw Error(Code::kInternal, "no MPI"); }  // never made
  void Close() {}
  void On(int, const std::function<void(comm::Communicator&)>&) {}
};

#endif

BenchWorld::BenchWorld() {
  if (!comm::InMpiLaunch()) return;
  mpi_ = std::make_unique<Mpi>();
  InitLogging("info", mpi_->world().rank());
}

BenchWorld::~BenchWorld() = default;

bool BenchWorld::first() const {
  return !mpi_ || mpi_->world().rank() == 0;
}

int BenchWorld::capacity() const {
  return mpi_ ? mpi_->world().size() : std::numeric_limits<int>::max();
}

const char* BenchWorld::carrier() const {
  return mpi_ ? "MPI" : "threads";
}

void BenchWorld::On(int ranks, const std::function<void(comm::Communicator&)>& body) {
  if (mpi_) {
    mpi_->On(ranks, body);
  } else {
    OnThreads(ranks, body);
  }
}

void BenchWorld::Close() {
  if (mpi_) mpi_->Close();
}

}  // namespace hullft::coordinator
