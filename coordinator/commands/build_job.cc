#include "coordinator/commands/build_job.h"

#include <algorithm>
#include <cmath>
#include <csignal>
#include <optional>
#include <thread>
#include <utility>

#include "common/comm/in_process.h"
#include "common/comm/launch.h"
#ifdef HULLFT_MPI
#include "common/comm/mpi.h"
#include "coordinator/commands/end_job.h"
#endif
#include "common/error.h"
#include "common/log.h"
#include "common/parallel.h"
#include "common/tokenizer/tokenizer.h"
#include "worker/device.h"
#include "worker/encoder.h"

namespace hullft::coordinator {
namespace {

volatile std::sig_atomic_t g_stop = 0;  // set by INT and TERM: the build ends after its batch

// What loading needs to outlive it.
struct LoadedModels {
  std::unique_ptr<Tokenizer> tokenizer;
  std::unique_ptr<worker::Encoder> encoder;
};

// host_rank: of this process among those of its host.
index::BuildFunctions Load(const index::BuildSettings& settings, const BuildModels& models, int host_rank,
                           LoadedModels* loaded) {
  loaded->tokenizer = Tokenizer::Load(models.model);
  index::BuildFunctions functions;
  functions.tokenize = {[tokenizer = loaded->tokenizer.get()](auto text) { return tokenizer->Encode(text, false); },
                        loaded->tokenizer->digest()};
  functions.embed.digest = models.encoder_digest;
  index::EncoderUse use = settings.grow ? index::ReadCorpusInfo(settings.output).encoder_use : models.use;
  if (models.encoder.empty()) {
    functions.embed.use = use;
    return functions;
  }
  loaded->encoder = worker::Encoder::Load({.model_dir = models.encoder,
                                           .threads = settings.threads,
                                           .long_texts = worker::LongTextsFromName(use.long_texts),
                                           .prompt = use.prompt});
  if (settings.embeddings.empty()) loaded->encoder->MoveTo(worker::ChooseDevice(models.device, host_rank));
  use.space = loaded->encoder->space();
  functions.embed = {[encoder = loaded->encoder.get()](auto texts, auto out) { encoder->Embed(texts, out); },
                     loaded->encoder->dim(), loaded->encoder->digest(), std::move(use)};
  return functions;
}

#ifdef HULLFT_MPI
// This rank's share of its host: what the launcher bound it to, or else an equal part of the cores.
int ThreadsOfRank(const comm::Communicator& world) {
  const auto& hosts = world.hosts();
  const auto here = std::count(hosts.begin(), hosts.end(), hosts[static_cast<size_t>(world.rank())]);
  const int cores = UsableCores();
  const bool bound = cores < static_cast<int>(std::thread::hardware_concurrency());
  return bound ? cores : std::max(1, cores / static_cast<int>(here));
}

int HostRank(const comm::Communicator& world) {
  const auto& hosts = world.hosts();
  const auto here = hosts.begin() + world.rank();
  return static_cast<int>(std::count(hosts.begin(), here, *here));
}

// Every rank takes part. Returns on rank 0.
index::CorpusInfo BuildUnderMpi(index::BuildSettings settings, const BuildModels& models) {
  comm::MpiWorld mpi;
  comm::Communicator& world = mpi.world();
  InitLogging("info", world.rank());
  if (settings.threads == 0) settings.threads = ThreadsOfRank(world);
  index::CorpusInfo info;
  std::optional<Error> failure;
  LoadedModels loaded;
  try {
    info = index::BuildCorpus(world, settings, [&] { return Load(settings, models, HostRank(world), &loaded); });
  } catch (const Error& error) {
    failure = error;
  }
  EndJob(mpi, failure, std::chrono::seconds(10));
  return info;
}
#endif

}  // namespace

index::CorpusInfo RunBuild(index::BuildSettings settings, const BuildModels& models) {
  std::signal(SIGINT, [](int) { g_stop = 1; });
  std::signal(SIGTERM, [](int) { g_stop = 1; });
  settings.stop = [] { return g_stop != 0; };
  if (!comm::InMpiLaunch()) {
    LoadedModels loaded;
    comm::InProcessWorld world(1);
    return index::BuildCorpus(world.rank(0), settings, [&] { return Load(settings, models, 0, &loaded); });
  }
#ifdef HULLFT_MPI
  return BuildUnderMpi(settings, models);
#else
  throw Error(Code::kUsage, "this build has no MPI",
              "build with -DHULLFT_MPI=ON, or start hullft without mpirun or srun");
#endif
}

int64_t BytesFromText(const std::string& text) {
  size_t end = 0;
  double bytes = -1;
  try {
    bytes = std::stod(text, &end);
  } catch (const std::exception&) {  // ignored: bytes stays below 0, and that is refused below
  }
  constexpr std::string_view kUnits = "KMGT";
  if (end + 1 == text.size() && kUnits.find(text[end]) != std::string_view::npos)
    bytes *= std::pow(1000, 1 + static_cast<int>(kUnits.find(text[end++])));
  if (end != text.size() || !(bytes >= 0 && bytes < 9e18))
    throw UsageError("--memory-budget '{}' is not a number of bytes such as 500M or 2G", text);
  return static_cast<int64_t>(bytes);
}

}  // namespace hullft::coordinator
