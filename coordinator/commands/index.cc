// hullft index: build, info, verify and search a corpus (index/).
#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "common/comm/in_process.h"
#include "common/comm/launch.h"
#ifdef HULLFT_MPI
#include "common/comm/mpi.h"
#include "coordinator/commands/end_job.h"
#endif
#include "common/error.h"
#include "common/log.h"
#include "common/options.h"
#include "common/parallel.h"
#include "common/progress.h"
#include "common/tokenizer/tokenizer.h"
#include "coordinator/commands/commands.h"
#include "coordinator/select/pool.h"
#include "coordinator/text_line.h"
#include "index/builder.h"
#include "index/corpus.h"
#include "index/repair.h"
#include "index/verify.h"
#include "worker/encoder.h"

namespace hullft::coordinator {
namespace {
using nlohmann::ordered_json;

volatile std::sig_atomic_t g_stop = 0;  // set by INT and TERM: the build ends after its batch

void PrintJson(const ordered_json& value) {
  std::puts(value.dump(1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
}

ordered_json ToJson(const index::Recall& recall) {
  ordered_json curve = ordered_json::array();
  for (const index::RecallPoint& point : recall.curve)
    curve.push_back({{"effort", point.effort}, {"recall", point.recall}});
  return {{"k", recall.k},
          {"queries", recall.queries},
          {"target", recall.target},
          {"effort", recall.effort},
          {"curve", curve}};
}

ordered_json ToJson(const index::CorpusInfo& info) {
  ordered_json parts = ordered_json::array();
  for (const index::PartitionInfo& part : info.parts) {
    parts.push_back({{"number", part.number},
                     {"sequences", part.sequences},
                     {"text_bytes", part.text_bytes},
                     {"tokens", part.tokens},
                     {"disk_bytes", part.disk_bytes},
                     {"digest", part.digest}});
  }
  return {{"folder", info.folder.string()},
          {"digest", info.digest},
          {"partitions", info.partitions},
          {"dim", info.dim},
          {"embedding_dtype", index::EmbeddingTypeName(info.embedding_type)},
          {"index", info.index},
          {"recall", ToJson(info.recall)},
          {"sequences", info.sequences},
          {"text_bytes", info.text_bytes},
          {"tokens", info.tokens},
          {"encoder_digest", info.encoder_digest},
          {"parts", parts},
          {"tokenizer_digest", info.tokenizer_digest}};
}

// "2G", "500M", "4096".
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

void PrintRecall(const index::CorpusInfo& info) {
  const index::IndexType type = index::IndexType::Parse(info.index, info.dim);
  fmt::print("index      {}\n", info.index);
  if (type.kind == index::IndexKind::kFlat) return;
  fmt::print("recall@{}  {} sequences looked up; searches use {} {} (asked for: {})\n", info.recall.k,
             info.recall.queries, type.EffortName(), info.recall.effort, info.recall.target);
  for (const index::RecallPoint& point : info.recall.curve)
    fmt::print("           {:>8} {:<5} {:.4f}\n", type.EffortName(), point.effort, point.recall);
}

void PrintInfo(const index::CorpusInfo& info) {
  int64_t disk_bytes = 0;
  for (const index::PartitionInfo& part : info.parts) disk_bytes += part.disk_bytes;
  fmt::print(
      "corpus     {}\nsequences  {} ({} of text, {} tokens) in {} partition{}\nwidth      {} ({})\ndisk       {}\n",
      info.folder.string(), info.sequences, FormatBytes(static_cast<double>(info.text_bytes)), info.tokens,
      info.partitions, info.partitions == 1 ? "" : "s", info.dim, index::EmbeddingTypeName(info.embedding_type),
      FormatBytes(static_cast<double>(disk_bytes)));
  PrintRecall(info);
  fmt::print("encoder    {}\ntokenizer  {}\ndigest     {}\n", info.encoder_digest, info.tokenizer_digest, info.digest);
}

struct BuildModels {
  std::string model, encoder;  // folders; encoder may be ""
};

// What loading needs to outlive it.
struct LoadedModels {
  std::unique_ptr<Tokenizer> tokenizer;
  std::unique_ptr<worker::Encoder> encoder;
};

index::BuildFunctions Load(const BuildModels& models, int threads, LoadedModels* loaded) {
  loaded->tokenizer = Tokenizer::Load(models.model);
  index::BuildFunctions functions;
  functions.tokenize = {[tokenizer = loaded->tokenizer.get()](auto text) { return tokenizer->Encode(text, false); },
                        loaded->tokenizer->digest()};
  if (models.encoder.empty()) return functions;
  loaded->encoder = worker::Encoder::Load({.model_dir = models.encoder, .threads = threads});
  functions.embed = {[encoder = loaded->encoder.get()](auto texts, auto out) { encoder->Embed(texts, out); },
                     loaded->encoder->dim(), loaded->encoder->digest()};
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
    info = index::BuildCorpus(world, settings, [&] { return Load(models, settings.threads, &loaded); });
  } catch (const Error& error) {
    failure = error;
  }
  EndJob(mpi, failure, std::chrono::seconds(10));
  return info;
}
#endif

int Build(const Arguments& args) {
  index::BuildSettings s;
  BuildModels models;
  std::string embedding_type = "f32", memory_budget = "0";
  OptionTable table(
      "hullft index build",
      "Builds a corpus from JSONL files (plain, .gz, .zst; records {\"text\": ..., \"meta\": ...}) and "
      "folders of text files. An interrupted build goes on when the same command is run again. Under mpirun or srun "
      "all ranks build it together, in a folder that they share: the same corpus for any number of ranks.");
  table.Group("Input");
  table.Add("input", &s.inputs, "JSONL file or folder of text files; repeatable, the order numbers the sequences")
      .Required();
  table.Add("chunk-bytes", &s.chunk_bytes, "text files are cut at line ends into pieces of at most this")
      .Range(16, 1 << 30);
  table.Add("max-line-bytes", &s.max_line_bytes, "longer JSONL lines are bad records").Range(2, 1 << 30);
  table.Add("max-rejects", &s.max_rejects, "more bad records than this end the build").Range(0, 9e15);
  table.Add("rejects", &s.rejects, "file that lists the bad records (empty: OUTPUT.rejects.jsonl)").NotPartOfResult();
  table.Group("Models");
  table.Add("model", &models.model, "folder of the language model: its tokenizer makes the stored tokens").Required();
  table.Add("encoder", &models.encoder, "folder of the encoder; with --embeddings: the one that made them");
  table.Add("embeddings", &s.embeddings, ".npy, float32 [records][width]: row i belongs to good record i of the input");
  table.Group("Output");
  table.Add("output", &s.output, "folder to make").Required();
  table.Add("partitions", &s.partitions, "fixed for the corpus's life; at least the shards that will serve it")
      .Range(1, 4096);
  table
      .Add("embedding-dtype", &embedding_type, "as which embeddings are stored: f16 and bf16 halve them, rounding once")
      .OneOf({"f32", "f16", "bf16"});
  table.Add("index", &s.index,
            "Flat; or of FAISS: IVFn,Flat, IVFn,SQ8, IVFn,PQm, HNSWm (n lists, m bytes or neighbours)");
  table.Add("target-recall", &s.target_recall, "what an index other than Flat must find of the nearest, in the mean")
      .Range(0, 1);
  table.Add("recall-k", &s.recall_k, "how many nearest that is measured on").Range(1, 1e6);
  table.Add("force", &s.force, "start over, and replace a finished corpus");
  table.Group("Work");
  table.Add("batch", &s.batch, "sequences embedded between two points of no loss").Range(1, 1 << 20).NotPartOfResult();
  table.Add("threads", &s.threads, "of each rank; 0: all cores it may use").Range(0, 4096).NotPartOfResult();
  table
      .Add(
          "memory-budget", &memory_budget,
          "what a rank may hold besides its models, e.g. 2G: a build that needs more ends with what to do; 0: no limit")
      .NotPartOfResult();
  table.Add("quiet", &s.quiet, "no progress").NotPartOfResult();
  if (table.Parse(args)) return 0;
  if (models.encoder.empty() && s.embeddings.empty()) {
    throw Error(Code::kUsage, "neither --encoder nor --embeddings is given",
                "give the folder of an encoder, or a .npy of embeddings");
  }
  s.embedding_type = index::EmbeddingTypeFromName(embedding_type);
  s.memory_budget = BytesFromText(memory_budget);
  s.Validate();

  std::signal(SIGINT, [](int) { g_stop = 1; });
  std::signal(SIGTERM, [](int) { g_stop = 1; });
  s.stop = [] { return g_stop != 0; };
  if (!comm::InMpiLaunch()) {
    LoadedModels loaded;
    comm::InProcessWorld world(1);
    PrintInfo(index::BuildCorpus(world.rank(0), s, [&] { return Load(models, s.threads, &loaded); }));
    return 0;
  }
#ifdef HULLFT_MPI
  PrintInfo(BuildUnderMpi(s, models));
  return 0;
#else
  throw Error(Code::kUsage, "this build has no MPI",
              "build with -DHULLFT_MPI=ON, or start hullft without mpirun or srun");
#endif
}

int Info(const Arguments& args) {
  std::string folder;
  bool json = false, digest = false;
  OptionTable table("hullft index info", "Shows what a corpus holds, from its manifest.");
  table.AddPositional("corpus", &folder, "folder of the corpus").Required();
  table.Add("json", &json, "print JSON");
  table.Add("digest", &digest,
            "print only the digest of the content: equal for any number of partitions, ranks or threads");
  if (table.Parse(args)) return 0;
  const index::CorpusInfo info = index::ReadCorpusInfo(folder);
  if (digest) {
    std::puts(info.digest.c_str());
  } else if (json) {
    PrintJson(ToJson(info));
  } else {
    PrintInfo(info);
  }
  return 0;
}

int Verify(const Arguments& args) {
  std::string folder;
  int threads = 0;
  bool json = false, quiet = false, repair = false;
  OptionTable table(
      "hullft index verify",
      "Checks every byte of a corpus: checksums of all files, counts, and the store against the vector index.");
  table.AddPositional("corpus", &folder, "folder of the corpus").Required();
  table.Add("repair", &repair,
            "first make again what can be: ids and Flat's vectors from the store, any other index from the vectors");
  table.Add("threads", &threads, "0: all cores this process may use").Range(0, 4096).NotPartOfResult();
  table.Add("json", &json, "print JSON");
  table.Add("quiet", &quiet, "no progress").NotPartOfResult();
  if (table.Parse(args)) return 0;
  if (repair) {
    for (const std::string& file : index::RepairCorpus(folder, threads)) fmt::print(stderr, "made again: {}\n", file);
  }
  const index::CorpusInfo info = index::VerifyCorpus(folder, threads, quiet);
  if (json) {
    ordered_json value = ToJson(info);
    value["ok"] = true;
    PrintJson(value);
  } else {
    fmt::print("{} is whole: {} sequences in {} partition{}, digest {}\n", folder, info.sequences, info.partitions,
               info.partitions == 1 ? "" : "s", info.digest);
  }
  return 0;
}

struct Neighbour {
  index::SequenceId id;
  double score;
  std::string text, metadata;
};

// The k best of the whole corpus, exactly ordered; a margin makes up for the rounding of the libraries' scores.
std::vector<Neighbour> FindNeighbours(const index::CorpusInfo& info, std::span<const float> query, int k, int effort) {
  constexpr int kMargin = 32;
  std::vector<std::unique_ptr<index::Partition>> parts;
  std::vector<uint64_t> ids;
  std::vector<float> rows;
  for (int p = 0; p < info.partitions; ++p) {
    parts.push_back(index::Partition::Open(info.folder, p));
    const auto hits = parts.back()->Search(query, 1, k + kMargin, {.effort = effort});
    for (const index::Hit& hit : hits[0]) {
      ids.push_back(hit.id.value);
      rows.resize(rows.size() + query.size());
      parts.back()->ReadEmbedding(hit.id, std::span(rows).last(query.size()));
    }
  }
  const select::PoolOrder order = select::RescorePool(ids, rows, query, k);
  std::vector<Neighbour> neighbours;
  for (size_t i = 0; i < order.ids.size(); ++i) {
    const index::SequenceId id{order.ids[i]};
    for (const auto& part : parts) {
      if (!part->Contains(id)) continue;
      neighbours.push_back({id, order.scores[i], part->ReadText(id), part->ReadMetadata(id)});
      break;
    }
  }
  return neighbours;
}

// The Pile's field, or "".
std::string Subset(const std::string& metadata) {
  const auto meta = nlohmann::json::parse(metadata, nullptr, false);
  if (!meta.is_object() || !meta.contains("pile_set_name") || !meta["pile_set_name"].is_string()) return "";
  return meta["pile_set_name"];
}

int Search(const Arguments& args) {
  std::string text, folder, encoder_dir;
  int k = 5, bytes = 160, effort = 0;
  bool json = false;
  OptionTable table("hullft index search", "Shows the sequences nearest to a text: does the index make sense?");
  table.AddPositional("text", &text, "what to look for").Required();
  table.AddPositional("corpus", &folder, "folder of the corpus").Required();
  table.Add("encoder", &encoder_dir, "folder of the encoder that the corpus was built with").Required();
  table.Add("k", &k, "neighbours to show").Range(1, 1000000);
  table.Add("search-effort", &effort, "nprobe of an IVF, efSearch of HNSW; 0: what the build's measurement chose")
      .Range(0, 1e6);
  table.Add("bytes", &bytes, "of each text to show").Range(1, 1 << 24).NotPartOfResult();
  table.Add("json", &json, "print JSON, with whole texts");
  if (table.Parse(args)) return 0;
  if (text.empty() || !IsValidUtf8(text))
    throw Error(Code::kUsage, "the text is empty or not valid UTF-8", "quote it for the shell");
  const index::CorpusInfo info = index::ReadCorpusInfo(folder);
  const auto encoder = worker::Encoder::Load({.model_dir = encoder_dir});
  if (encoder->digest() != info.encoder_digest) {
    throw Error(Code::kData,
                fmt::format("{} was built with the encoder {}, {} is {}", folder, info.encoder_digest, encoder_dir,
                            encoder->digest()),
                "give the encoder that the corpus was built with, or build the corpus with this one");
  }
  std::vector<float> query(static_cast<size_t>(encoder->dim()));
  const std::string_view texts[] = {text};
  encoder->Embed(texts, query);
  const auto neighbours = FindNeighbours(info, query, k, effort);
  ordered_json list = ordered_json::array();
  for (size_t i = 0; i < neighbours.size(); ++i) {
    const Neighbour& n = neighbours[i];
    if (json) {
      list.push_back({{"id", n.id.value}, {"score", n.score}, {"text", n.text}});
      if (!n.metadata.empty()) list.back()["meta"] = ordered_json::parse(n.metadata);
      continue;
    }
    const std::string subset = Subset(n.metadata);
    fmt::print("{:>3}  score {:.4f}  id {}{}\n     {}\n", i + 1, n.score, n.id.value,
               subset.empty() ? "" : "  " + subset, Beginning(n.text, static_cast<size_t>(bytes)));
  }
  if (json) PrintJson(list);
  return 0;
}

}  // namespace

int IndexCommand(const Arguments& args) {
  const std::vector<std::string> names = {"build", "info", "verify", "search"};
  const std::string name = args.empty() ? "" : args[0];
  if (name.empty() || name == "--help" || name == "-h") {
    std::puts(
        "usage: hullft index build | info | verify | search\n\n"
        "  build   make a corpus from JSONL files or folders of texts\n"
        "  info    what a corpus holds\n"
        "  verify  check every byte of a corpus\n"
        "  search  the sequences nearest to a text\n\n"
        "hullft index build --help describes build, and so on.");
    return name.empty() ? 2 : 0;
  }
  const Arguments rest(args.begin() + 1, args.end());
  if (name == "build") return Build(rest);
  if (name == "info") return Info(rest);
  if (name == "verify") return Verify(rest);
  if (name == "search") return Search(rest);
  const std::string nearest = NearestWord(name, names);
  throw Error(Code::kUsage,
              "unknown command 'index " + name + "'" + (nearest.empty() ? "" : "; did you mean '" + nearest + "'?"),
              "hullft index --help lists the commands");
}

}  // namespace hullft::coordinator
