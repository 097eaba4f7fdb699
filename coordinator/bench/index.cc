// hullft bench index: a build, the search and the store, measured with the commands and the code that a run uses, on a
// synthetic corpus of any size that is made first (and made again only when its settings change).
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>

#include "common/error.h"
#include "common/figures.h"
#include "common/files.h"
#include "common/options.h"
#include "common/parallel.h"
#include "common/thread_clock.h"
#include "common/tokenizer/tokenizer.h"
#include "coordinator/bench/index_search.h"
#include "coordinator/bench/index_serving.h"
#include "coordinator/bench/measure.h"
#include "coordinator/bench/subjects.h"
#include "coordinator/bench/synthetic_corpus.h"
#include "index/jsonl_reader.h"
#include "worker/encoder.h"
#include "worker/runtime.h"

namespace hullft::coordinator {
namespace {
namespace fs = std::filesystem;

struct IndexSettings {
  SyntheticSettings corpus;
  std::string model, encoder, scratch = "/tmp/hullft_bench_index", output;
  std::string index, vectors;
  int partitions = 1, enlarge = 1, k = 200, threads = 0, repetitions = 5;
  bool quiet = false;
};

struct Usage {
  double wall_s = 0, cpu_s = 0, peak_bytes = 0;
};

// Runs this program with other words, and waits for its end.
Usage RunSelf(std::vector<std::string> words) {
  const std::string self = fs::read_symlink("/proc/self/exe").string();
  words.insert(words.begin(), self);
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  Usage usage;
  int status = 0;
  rusage used{};
  usage.wall_s = Seconds([&] {
    const pid_t child = ::fork();
    if (child < 0) throw IoError("start", self);
    if (child == 0) {
      ::execv(self.c_str(), argv.data());
      ::_exit(127);
    }
    if (::wait4(child, &status, 0, &used) != child) throw IoError("wait for", self);
  });
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    throw Error(Code::kInternal, fmt::format("{} {} failed: its message is above", words[1], words[2]));
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  usage.cpu_s = seconds(used.ru_utime) + seconds(used.ru_stime);
  usage.peak_bytes = static_cast<double>(used.ru_maxrss) * 1024;
  return usage;
}

// What the search must answer: [n][d] beside the corpus.
std::vector<float> Queries(const SyntheticCorpus& corpus, int n) {
  const auto d = static_cast<size_t>(corpus.settings().dim);
  std::vector<float> queries(static_cast<size_t>(n) * d);
  for (int q = 0; q < n; ++q) corpus.Vector(-1 - q, std::span(queries).subspan(static_cast<size_t>(q) * d, d));
  return queries;
}

class IndexBench {
 public:
  explicit IndexBench(const IndexSettings& settings)
      : s_(settings),
        corpus_(settings.corpus),
        folder_(settings.scratch),
        threads_(settings.threads > 0 ? settings.threads : UsableCores()) {}

  void Run(Figures* figures) {
    MakeInput();
    Ingest(figures);
    ReadAlone(figures);
    if (!s_.encoder.empty()) Embed(figures);
    const ServingSettings serving{folder_ / "corpus", s_.partitions, s_.k, threads_, s_.repetitions};
    MeasureDisk(serving, corpus_, s_.model, figures);
    MeasureOpening(serving, figures);
    MeasureFlatSearch(serving, Queries(corpus_, 64), figures);
    MeasureFetching(serving, Queries(corpus_, 1), figures);
    if (s_.index.empty()) return;
    MeasurePartialSearch({s_.vectors.empty() ? folder_ / "vectors.npy" : fs::path(s_.vectors), folder_ / "index.faiss",
                          s_.index, s_.enlarge, s_.k, threads_, s_.repetitions},
                         figures);
  }

 private:
  void MakeInput() {
    MakeFolders(folder_);
    const auto& c = s_.corpus;
    const std::string wanted = fmt::format("2: {} {} {} {} {}\n", c.sequences, c.text_bytes, c.dim, c.clusters, c.seed);
    if (fs::exists(folder_ / "made") && ReadFile(folder_ / "made") == wanted) return;
    fs::remove(folder_ / "made");
    std::fprintf(stderr, "making %lld synthetic sequences in %s\n", static_cast<long long>(c.sequences),
                 folder_.c_str());
    corpus_.WriteTexts(folder_ / "texts.jsonl");
    corpus_.WriteTexts(folder_ / "texts.jsonl.zst");
    corpus_.WriteVectors(folder_ / "vectors.npy");
    WriteFileAtomic(folder_ / "made", wanted);
  }

  void Ingest(Figures* figures) {
    std::vector<std::string> words = {"index",        "build",
                                      "--input",      folder_ / "texts.jsonl",
                                      "--embeddings", folder_ / "vectors.npy",
                                      "--model",      s_.model,
                                      "--output",     folder_ / "corpus",
                                      "--partitions", std::to_string(s_.partitions),
                                      "--threads",    std::to_string(threads_),
                                      "--force"};
    if (s_.quiet) words.push_back("--quiet");
    const Usage usage = RunSelf(words);
    const auto n = static_cast<double>(s_.corpus.sequences);
    figures->Add({"ingest.sequences_per_second",
                  "ingest with given embeddings, wall time",
                  n / usage.wall_s,
                  "sequences/s",
                  20'000,
                  {}});
    figures->Add({"ingest.sequences_per_cpu_second",
                  "the same, for each second of each core",
                  n / usage.cpu_s,
                  "sequences/s",
                  {},
                  {}});
    figures->Add({"ingest.cpu_mbs",
                  "the same in text",
                  n * static_cast<double>(s_.corpus.text_bytes) / usage.cpu_s / 1e6,
                  "MB/s",
                  {},
                  {}});
    figures->Add(
        {"ingest.peak_memory", "its peak memory, libraries included", usage.peak_bytes / 0x1p30, "GiB", {}, 2});
  }

  // The first steps of a build without what follows them.
  void ReadAlone(Figures* figures) {
    const auto tokenizer = Tokenizer::Load(s_.model);
    double bytes = 0;
    std::atomic<int64_t> tokens = 0;
    const double cpu_before = ProcessCpuSeconds();
    const double seconds = Seconds([&] {
      BoundedQueue<std::vector<std::string>> queue(8);
      std::jthread reader([&] {
        index::Rejects none({}, index::Rejects::kNoneAllowed);
        index::JsonlReader reader(folder_ / "texts.jsonl.zst", &none);
        index::Record record;
        std::vector<std::string> batch;
        while (reader.Next(&record)) {
          batch.emplace_back(record.text);
          bytes += static_cast<double>(record.text.size());
          if (batch.size() < 512) continue;
          if (!queue.Push(std::move(batch))) return;
          batch = {};
        }
        if (!queue.Push(std::move(batch))) return;
        queue.Close();
      });
      ParallelFor(threads_, threads_, [&](int64_t) {
        while (const auto batch = queue.Pop()) {
          for (const std::string& text : *batch) tokens += static_cast<int64_t>(tokenizer->Encode(text, false).size());
        }
      });
    });
    figures->Add({"read.mbs", "reading .zst and tokenizing alone, wall time", bytes / seconds / 1e6, "MB/s", 30, {}});
    figures->Add({"read.cpu_mbs",
                  "the same, for each second of each core",
                  bytes / (ProcessCpuSeconds() - cpu_before) / 1e6,
                  "MB/s",
                  {},
                  {}});
    figures->Add({"read.bytes_per_token",
                  "bytes of a token in these texts",
                  bytes / static_cast<double>(tokens),
                  "bytes",
                  {},
                  {}});
  }

  void Embed(Figures* figures) const {
    constexpr int64_t kTexts = 128;
    worker::InitTorchRuntime(1);
    const auto encoder = worker::Encoder::Load({.model_dir = s_.encoder, .threads = threads_});
    std::vector<std::string> texts;
    for (int64_t i = 0; i < kTexts; ++i) texts.push_back(corpus_.Text(i));
    const std::vector<std::string_view> views(texts.begin(), texts.end());
    std::vector<float> vectors(views.size() * static_cast<size_t>(encoder->dim()));
    const double cpu_before = ProcessCpuSeconds();
    encoder->Embed(views, vectors);
    figures->Add({"embed.texts_per_cpu_second",
                  "embedding, for each second of each core",
                  static_cast<double>(kTexts) / (ProcessCpuSeconds() - cpu_before),
                  "texts/s",
                  {},
                  {}});
  }

  const IndexSettings& s_;
  const SyntheticCorpus corpus_;
  const fs::path folder_;
  const int threads_;
};

}  // namespace

int BenchIndex(const Arguments& args) {
  IndexSettings s;
  OptionTable table("hullft bench index", "Measures building, searching and reading a corpus of synthetic sequences.");
  table.Add("model", &s.model, "folder of the language model whose tokenizer is used").Required();
  table.Add("encoder", &s.encoder, "folder of an encoder to measure too; empty: none");
  table.Add("sequences", &s.corpus.sequences, "of the corpus").Range(1000, 1e9);
  table.Add("text-bytes", &s.corpus.text_bytes, "of a sequence").Range(1, 1 << 20);
  table.Add("dim", &s.corpus.dim, "width of the embeddings").Range(1, 65536);
  table.Add("partitions", &s.partitions, "of the corpus").Range(1, 4096);
  table.Add("k", &s.k, "neighbours of a query").Range(1, 1e6);
  table.Add("index", &s.index, "an index to measure beside the flat search, e.g. IVF1024,Flat; empty: none");
  table.Add("vectors", &s.vectors, ".npy of embeddings for --index instead of the synthetic ones");
  table.Add("enlarge", &s.enlarge, "points for each of --vectors: itself, and others between it and its nearest")
      .Range(1, 1000);
  table.Add("threads", &s.threads, "0: all cores this process may use").Range(0, 4096);
  table.Add("repetitions", &s.repetitions, "of which the shortest counts").Range(1, 1000);
  table.Add("scratch", &s.scratch, "folder for the input and the corpus, which are kept");
  table.Add("quiet", &s.quiet, "no progress");
  table.Add("output", &s.output, "file for the figures as JSON");
  table.Example("hullft bench index --model MODEL --sequences 100000");
  if (table.Parse(args)) return 0;
  Figures figures("index", Figures::MachineFacts(HULLFT_VERSION));
  figures.AddFact(
      "corpus", fmt::format("{} sequences of {} bytes, d = {}", s.corpus.sequences, s.corpus.text_bytes, s.corpus.dim));
  IndexBench(s).Run(&figures);
  std::fputs(figures.Table().c_str(), stdout);
  if (!s.output.empty()) WriteFileAtomic(s.output, figures.Json());
  return 0;
}

}  // namespace hullft::coordinator
