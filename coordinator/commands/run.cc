#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <thread>

#include "common/comm/launch.h"
#ifdef HULLFT_MPI
#include "common/comm/mpi.h"
#include "coordinator/commands/end_job.h"
#endif
#include "common/error.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/options.h"
#include "common/parallel.h"
#include "common/printable.h"
#include "coordinator/commands/commands.h"
#include "coordinator/run_grid.h"
#include "coordinator/run_rank.h"

namespace hullft::coordinator {
namespace {

std::atomic<int> g_signal = 0;  // set by the handler: there is no other way to reach it
static_assert(std::atomic<int>::is_always_lock_free);

void OnSignal(int number) {
  // The journal is whole at every moment, so a second signal needs no order.
  if (g_signal.exchange(number) != 0) ::_exit(ExitStatus(Code::kInterrupted));
}

// INT, TERM and USR1 ask for an orderly end while this object lives.
class SignalGuard {
 public:
  SignalGuard() {
    struct sigaction action {};
    action.sa_handler = OnSignal;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < 3; ++i) ::sigaction(kSignals[i], &action, &old_[i]);  // ignored: fails for wrong numbers
  }
  ~SignalGuard() {
    for (size_t i = 0; i < 3; ++i) ::sigaction(kSignals[i], &old_[i], nullptr);  // ignored: likewise
  }
  SignalGuard(const SignalGuard&) = delete;
  SignalGuard& operator=(const SignalGuard&) = delete;

 private:
  static constexpr int kSignals[] = {SIGINT, SIGTERM, SIGUSR1};
  struct sigaction old_[3] = {};
};

Error Interrupted(const RunOutcome& outcome) {
  return Error(Code::kInterrupted,
               fmt::format("stopped: {} of {} queries are done", outcome.skipped + outcome.finished, outcome.queries),
               "the same command goes on with the rest");
}

int StatusOf(const RunOutcome& outcome) {
  return outcome.failed > 0 && outcome.finished == 0 ? ExitStatus(Code::kData) : 0;  // not one query worked
}

// A worker hangs in a computation that cannot be interrupted; its thread would never be joined.
void LeaveWithoutJoining(const RunOutcome& outcome) {
  const bool printed = std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
  if (!printed) std::fprintf(stderr, "hullft: %s\n", IoError("write to", "standard output").what());
  if (outcome.stopped) std::fprintf(stderr, "hullft: %s\n", Printable(Interrupted(outcome).what()).c_str());
  std::fflush(stderr);  // ignored: there is nowhere left to say so
  ::_exit(outcome.stopped ? ExitStatus(Code::kInterrupted) : printed ? StatusOf(outcome) : ExitStatus(Code::kIo));
}

#ifdef HULLFT_MPI
// Compute threads of this rank: what the launcher bound it to; without binding, its share of the host.
int RankThreads(const RunSettings& settings, const comm::Communicator& world) {
  const auto& hosts = world.hosts();
  const auto here = std::count(hosts.begin(), hosts.end(), hosts[static_cast<size_t>(world.rank())]);
  const int cores = UsableCores();
  const int workers = static_cast<int>(std::max<int64_t>(1, here - 1));
  if (settings.threads > 0) return std::max(1, settings.threads / workers);
  return cores == static_cast<int>(std::thread::hardware_concurrency()) ? std::max(1, cores / workers) : cores;
}

// Returns on rank 0.
RunOutcome RunUnderMpi(const RunPlan& plan, RankContext context) {
  comm::MpiWorld mpi;
  comm::Communicator& world = mpi.world();
  InitLogging("info", world.rank());
  context.threads = RankThreads(plan.settings, world);
  const auto leave = [&](const RunOutcome& outcome) {
    if (std::fflush(stdout) != 0) spdlog::error("{}", IoError("write to", "standard output").what());
    mpi.Abort("a worker does not answer; everything else is done",
              outcome.stopped ? ExitStatus(Code::kInterrupted) : StatusOf(outcome));
  };
  RunOutcome outcome;
  std::optional<Error> failure;
  try {
    outcome = RunRank(world, plan, context, leave);
  } catch (const Error& error) {
    failure = error;
    spdlog::debug("rank {}: {}", world.rank(), error.what());
  }
  EndJob(mpi, failure, std::chrono::seconds(failure ? 10 : 60));
  return outcome;
}
#endif

RunOutcome RunSomewhere(const RunPlan& plan, const RankContext& context) {
  if (!comm::InMpiLaunch()) return RunInProcess(plan, context, LeaveWithoutJoining);
#ifdef HULLFT_MPI
  if (plan.settings.workers > 0) {
    throw Error(Code::kUsage,
                "--workers is for one process; under mpirun and srun every rank but a host's first is a worker",
                "leave --workers out, and give mpirun -n");
  }
  return RunUnderMpi(plan, context);
#else
  throw Error(Code::kUsage, "this build has no MPI",
              "build with -DHULLFT_MPI=ON, or start hullft without mpirun or srun");
#endif
}

}  // namespace

int RunCommand(const Arguments& args) {
  RunPlan plan;
  OptionTable table(
      "hullft run",
      "Finetunes the model on what is chosen for each query, and scores the query before and after. Results go to\n"
      "OUTPUT/results.jsonl, a row a query; the same command goes on where a stopped run was.");
  plan.settings.Bind(&table);
  table.Example("hullft run --corpus index --queries test.jsonl --model MODEL --encoder ENCODER --n 20 --output run1");
  if (table.Parse(args)) return 0;
  plan.settings.Finish();
  if (!plan.settings.grid_file.empty()) plan.settings.grid = ReadRunGrid(plan.settings.grid_file, args);
  plan.options = IdentityOfOptions(table);
  plan.config = table.ConfigText();
  for (const RunSetting& setting : plan.settings.grid)  // so that ranks with another file are refused
    plan.config += fmt::format("# {}: {}\n", setting.name, HashHex(IdentityText(setting.options)));
  plan.version = HULLFT_VERSION;
  plan.binary = HashFileHex("/proc/self/exe");

  const SignalGuard guard;
  RankContext context;
  context.threads = plan.settings.threads > 0 ? plan.settings.threads : UsableCores();
  context.stop = &g_signal;
  context.print = [](const std::string& text) { std::fputs(text.c_str(), stdout); };
  const RunOutcome outcome = RunSomewhere(plan, context);
  if (outcome.stopped) throw Interrupted(outcome);
  return StatusOf(outcome);
}

}  // namespace hullft::coordinator
