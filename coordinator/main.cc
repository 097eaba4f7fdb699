// hullft: finds the subcommand, runs it, and turns what it throws into one clear message and an exit status.
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "common/comm/launch.h"
#include "common/error.h"
#include "common/log.h"
#include "common/map_faults.h"
#include "common/options.h"
#include "common/printable.h"
#include "coordinator/commands/commands.h"

namespace hullft::coordinator {
namespace {

struct Command {
  const char* name;
  int (*run)(const Arguments&);
  const char* summary;
};

constexpr Command kCommands[] = {
    {"run", RunCommand, "finetune on and score every query of a file"},
    {"sweep", SweepCommand, "runs over a grid of settings, with the work that they share done once"},
    {"report", ReportCommand, "tables of runs, and a page with figures, from their journals"},
    {"status", StatusCommand, "how far a run is, from any machine that sees its folder"},
    {"compare", CompareCommand, "what two runs differ by, query by query"},
    {"verify", VerifyCommand, "compute rows of a run again and compare"},
    {"index", IndexCommand, "build, add, merge, verify, search, ...: the corpus on disk"},
    {"embed", EmbedCommand, "texts to embeddings (.npy)"},
    {"select", SelectCommand, "choose a multiset for each target from a pool of embeddings"},
    {"tune", TuneCommand, "finetune a model on given sequences and score given documents"},
    {"tokenize", TokenizeCommand, "text to token ids and back"},
    {"bench", BenchCommand, "measure this machine: hullft bench SUBJECT"},
    {"plan", PlanCommand, "memory, disk, network and time of a planned cluster"},
    {"submit", SubmitCommand, "write the Slurm job script of a run and submit it"},
    {"models", ModelsCommand, "which language models run, and how each kind was checked"},
    {"doctor", DoctorCommand, "what this build and this machine can do"},
};

constexpr char kHelpBefore[] =
    "usage: hullft COMMAND [options]\n\n"
    "Test-time finetuning of language models: for each query, select related sequences with Frank-Wolfe,\n"
    "finetune on them with reused gradients, report bits per byte before and after.\n\nCommands:\n";
constexpr char kHelpAfter[] = "\n  hullft COMMAND --help describes a command; hullft --version prints the version.\n";

// Nothing here may need a constructor to have run: see BeforeConstructors.
void Write(const char* text, size_t size) {
  while (size > 0) {
    const ssize_t n = ::write(STDOUT_FILENO, text, size);
    if (n < 0) _exit(1);
    text += n;
    size -= static_cast<size_t>(n);
  }
}
void Write(const char* text) {
  Write(text, std::strlen(text));
}

void WriteHelp() {
  Write(kHelpBefore);
  for (const Command& command : kCommands) {
    Write("  ");
    Write(command.name);
    Write("           ", 11 - std::strlen(command.name));
    Write(command.summary);
    Write("\n");
  }
  Write(kHelpAfter);
}

// Runs before the constructors of the shared libraries, for two things that are too late in main:
// - `hullft --help` and `--version` are answered. LibTorch's constructors register some thousand operators, a quarter
// of a
//   second that somebody who asks for help should not wait.
// - OpenMP's threads are told to wait for each other for a moment and then sleep. libgomp's default spins for about 20
// ms,
//   which doubles the time of everything as soon as a core is shared (docs/decisions/0004).
void BeforeConstructors(int argc, char** argv, char**) {
  const auto is = [&](const char* word) { return argc >= 2 && std::strcmp(argv[1], word) == 0; };
  if (argc == 1 || is("--help") || is("-h") || is("help")) {
    WriteHelp();
    _exit(argc == 1 ? 2 : 0);
  }
  if (is("--version")) {
    Write("hullft " HULLFT_VERSION "\n");
    _exit(0);
  }
  // ignored: only slower without it
  if (std::getenv("OMP_WAIT_POLICY") == nullptr) ::setenv("GOMP_SPINCOUNT", "5000", 0);
}
__attribute__((section(".preinit_array"), used)) void (*const kEarly)(int, char**, char**) = BeforeConstructors;

int Dispatch(const std::vector<std::string>& words) {
  std::vector<std::string> names;
  for (const Command& command : kCommands) {
    if (words[0] == command.name) return command.run({words.begin() + 1, words.end()});
    names.emplace_back(command.name);
  }
  const std::string nearest = NearestWord(words[0], names);
  throw Error(Code::kUsage,
              "unknown command '" + words[0] + "'" + (nearest.empty() ? "" : "; did you mean '" + nearest + "'?"),
              "hullft --help lists the commands");
}

int g_status_when_ended = 0;  // read by a signal's handler

// This process, in messages.
std::string Speaker() {
  const int rank = comm::InMpiLaunch() ? comm::LaunchedRank().value_or(0) : 0;
  return comm::InMpiLaunch() ? fmt::format("hullft: rank {} on host {}", rank, comm::HostName())
                             : fmt::format("hullft: host {}", comm::HostName());
}

// Under mpirun and srun every rank meets the same bad usage. The first one's message is enough, and the launcher ends
// the others when it is gone: these then end with the same status, as that is what becomes the job's. An error that
// only another rank has comes out a little later. Returns who speaks.
std::string WaitForYourTurn(int status) {
  const int rank = comm::InMpiLaunch() ? comm::LaunchedRank().value_or(0) : 0;
  if (rank == 0) return "";
  g_status_when_ended = status;
  std::signal(SIGTERM, [](int) { _exit(g_status_when_ended); });
  std::this_thread::sleep_for(std::chrono::seconds(3));
  return Speaker() + ": ";
}

}  // namespace
}  // namespace hullft::coordinator

int main(int argc, char** argv) {
  using hullft::Code;
  hullft::InitLogging("info");
  try {
    hullft::InstallMapFaultHandler(hullft::coordinator::Speaker());
    const int status = hullft::coordinator::Dispatch({argv + 1, argv + argc});
    // The flag stays from an earlier write that failed: a full disk may have taken the end and not the middle.
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) throw hullft::IoError("write to", "standard output");
    return status;
  } catch (const hullft::Error& error) {
    std::string speaker = hullft::coordinator::WaitForYourTurn(hullft::ExitStatus(error.code()));
    const bool named = error.message().starts_with("hullft ");  // "hullft run: ..." names itself
    if (speaker.empty() && !named) speaker = "hullft: ";
    std::fprintf(stderr, "%s%s\n", speaker.c_str(), hullft::Printable(error.message()).c_str());
    if (!error.hint().empty()) std::fprintf(stderr, "  hint: %s\n", hullft::Printable(error.hint()).c_str());
    return hullft::ExitStatus(error.code());
  } catch (const std::filesystem::filesystem_error& error) {
    std::fprintf(stderr, "hullft: %s\n", hullft::Printable(error.what()).c_str());
    return hullft::ExitStatus(Code::kIo);
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "hullft: out of memory\n");
    return hullft::ExitStatus(Code::kMemory);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "hullft: unexpected error: %s\n  hint: this is a bug in hullft: please report it\n",
                 hullft::Printable(error.what()).c_str());
    return hullft::ExitStatus(Code::kInternal);
  }
}
