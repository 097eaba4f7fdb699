// The cases of communicator_cases.h over MPI: mpirun -n N comm_mpi_test --world N. Exits with the worst rank's status.
// With --mode it is the job that comm_mpi_faults_test.cc starts and watches.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <thread>

#include "common/comm/launch.h"
#include "common/comm/mpi.h"
#include "common/error.h"
#include "tests/comm/communicator_cases.h"

namespace hullft::comm {
namespace {

using std::chrono::milliseconds;

// Small, so that the payloads of the cases are cut, at odd places.
constexpr MpiOptions kOptions{.piece_bytes = 1'000'003};
Communicator* world = nullptr;

Deadline Soon() {
  return After(milliseconds(60'000));
}

class Mpi : public testing::TestWithParam<CommunicatorCase> {};

TEST_P(Mpi, Behaves) {
  const auto group = world->Split(0, Soon());  // an error in a collective ends a group, not the world
  GetParam().body(*group);
  world->Barrier(Soon());
}

INSTANTIATE_TEST_SUITE_P(Cases, Mpi, testing::ValuesIn(CommunicatorCases()),
                         [](const auto& info) { return info.param.name; });

int RunCases(MpiWorld& mpi, int expected) {
  world = &mpi.world();
  if (world->size() != expected) {
    mpi.Abort(fmt::format("the world has {} ranks, --world says {}", world->size(), expected), 1);
  }
  EXPECT_TRUE(InMpiLaunch());
  if (world->rank() != 0) {  // one rank's report is enough; failures are printed by all
    auto& listeners = testing::UnitTest::GetInstance()->listeners();
    testing::GTEST_FLAG(brief) = true;
    delete listeners.Release(listeners.default_xml_generator());
  }
  const ScoredId mine{static_cast<double>(RUN_ALL_TESTS()), 0};
  const auto worst = world->MaxReduce(std::span(&mine, 1), Soon());
  mpi.Shutdown(Soon());
  return static_cast<int>(worst[0].score);
}

void WaitInReceive(Communicator& c, milliseconds wait) {
  const int tag = 1;
  (void)c.Receive(kAnySource, std::span(&tag, 1), After(wait));
}

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

void RunAbort(MpiWorld& mpi) {
  if (mpi.world().rank() == 1) mpi.Abort("disk on fire", 3);
  WaitInReceive(mpi.world(), milliseconds(60'000));
}

void RunKilled(MpiWorld& mpi) {
  if (mpi.world().rank() == mpi.world().size() - 1) std::raise(SIGKILL);
  WaitInReceive(mpi.world(), milliseconds(60'000));
}

// Returns without Shutdown on rank 1: the world's destructor must end the others.
void RunEscape(MpiWorld& mpi) {
  if (mpi.world().rank() != 1) WaitInReceive(mpi.world(), milliseconds(60'000));
}

void RunNoGoodbye(MpiWorld& mpi) {
  if (mpi.world().rank() == 1) WaitInReceive(mpi.world(), milliseconds(60'000));
  mpi.Shutdown(After(milliseconds(300)));
}

// Large messages that nobody receives must not hold up the end of the run.
void RunDrain(MpiWorld& mpi) {
  if (mpi.world().rank() != 0) {
    for (int i = 0; i < 10; ++i) mpi.world().Send(0, 1, std::string(size_t{8} << 20, 'x'));
  }
  mpi.Shutdown(Soon());
}

// Prints the share of a core that a rank uses while it waits: reported, and bounded generously by the test.
void RunIdle(MpiWorld& mpi) {
  mpi.world().Barrier(Soon());
  const double before = CpuSeconds();
  WaitInReceive(mpi.world(), milliseconds(2'000));
  std::printf("idle rank %d: %.1f %% of a core\n", mpi.world().rank(), (CpuSeconds() - before) / 2 * 100);
  mpi.Shutdown(Soon());
}

// As `srun` with the wrong PMI plug-in does it: the step has four tasks, MPI knows of one.
void PretendSlurmStepOfFour() {
  unsetenv("OMPI_COMM_WORLD_SIZE");
  for (const auto& [name, value] :
       std::map<std::string, std::string>{{"SLURM_PROCID", "0"}, {"SLURM_STEP_ID", "0"}, {"SLURM_NTASKS", "4"}}) {
    setenv(name.c_str(), value.c_str(), 1);
  }
}

int RunMode(const std::string& mode) {
  static const std::map<std::string, void (*)(MpiWorld&)> modes = {
      {"abort", RunAbort}, {"killed", RunKilled}, {"escape", RunEscape}, {"no-goodbye", RunNoGoodbye},
      {"drain", RunDrain}, {"idle", RunIdle},     {"refused", RunDrain},
  };
  if (mode == "refused") PretendSlurmStepOfFour();
  try {
    MpiWorld mpi(kOptions);
    try {
      modes.at(mode)(mpi);
    } catch (const Error& error) {
      mpi.Abort(error.what(), ExitStatus(error.code()));
    }
  } catch (const Error& error) {
    std::fprintf(stderr, "hullft: %s\n", error.what());
    return ExitStatus(error.code());
  }
  return 0;
}

}  // namespace
}  // namespace hullft::comm

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const std::string option = argc == 3 ? argv[1] : "";
  if (option == "--mode") return hullft::comm::RunMode(argv[2]);
  if (option != "--world") {
    std::fprintf(stderr, "usage: mpirun -n N %s --world N\n", argv[0]);
    return 2;
  }
  hullft::comm::MpiWorld mpi(hullft::comm::kOptions);
  return hullft::comm::RunCases(mpi, std::atoi(argv[2]));
}
