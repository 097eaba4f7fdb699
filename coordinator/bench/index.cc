// hullft bench index: a build, the search and the store, measured with the commands and the code that a run uses, on a
// synthetic corpus of any size that is made first (and made again only when its settings change).
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <set>

#include "common/blas.h"
#include "common/error.h"
#include "common/figures.h"
#include "common/files.h"
#include "common/npy.h"
#include "common/options.h"
#include "common/parallel.h"
#include "common/thread_clock.h"
#include "common/tokenizer/tokenizer.h"
#include "coordinator/bench/measure.h"
#include "coordinator/bench/subjects.h"
#include "coordinator/bench/synthetic_corpus.h"
#include "index/corpus.h"
#include "index/faiss_index.h"
#include "index/jsonl_reader.h"

namespace hullft::coordinator {
namespace {
namespace fs = std::filesystem;

struct IndexSettings {
  SyntheticSettings corpus;
  std::string model, scratch = "/tmp/hullft_bench_index", output;
  std::string index, vectors;
  int partitions = 1, k = 200, threads = 0, repetitions = 5;
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
    Open();
    Search(figures);
    Fetch(figures);
    if (!s_.index.empty()) PartialSearch(figures);
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

  void Open() {
    for (int p = 0; p < s_.partitions; ++p) parts_.push_back(index::Partition::Open(folder_ / "corpus", p));
    int64_t disk = 0;
    for (const auto& part : parts_) disk += part->info().disk_bytes;
    disk_bytes_ = static_cast<double>(disk);
  }

  // The best of some runs beside one product of the same shape and one reading of the same bytes, in turns.
  void Search(Figures* figures) {
    const auto d = static_cast<size_t>(s_.corpus.dim);
    const std::vector<float> queries = Queries(corpus_, 64);
    std::vector<float> rows(static_cast<size_t>(s_.corpus.sequences) * d);
    for (size_t i = 0; i < rows.size(); ++i) rows[i] = queries[i % queries.size()];
    std::vector<float> scores(static_cast<size_t>(s_.corpus.sequences) * 64);
    const int n = static_cast<int>(s_.corpus.sequences), width = s_.corpus.dim, batch = 64;
    const float one = 1, zero = 0;
    const auto search = [&](int nq) {
      for (const auto& part : parts_) part->Search(std::span(queries).first(static_cast<size_t>(nq) * d), nq, s_.k);
    };
    const auto times = ShortestSeconds({[&] { search(64); }, [&] { search(1); },
                                        [&] {
                                          const BlasThreads all(threads_);
                                          sgemm_("T", "N", &n, &batch, &width, &one, rows.data(), &width,
                                                 queries.data(), &width, &zero, scores.data(), &n);
                                        },
                                        [&] { ReadAll(rows); }},
                                       s_.repetitions);
    const double bytes = static_cast<double>(rows.size()) * sizeof(float);
    figures->Add({"flat64.ms", fmt::format("flat search, batch 64, K = {}", s_.k), times[0] * 1e3, "ms", {}, {}});
    figures->Add({"flat64.to_sgemm", "the same to one sgemm of that shape", times[0] / times[2], "x", {}, 1.5});
    figures->Add({"flat1.ms", fmt::format("flat search, batch 1, K = {}", s_.k), times[1] * 1e3, "ms", {}, {}});
    figures->Add({"memory.gbs", "reading memory", bytes / times[3] / 1e9, "GB/s", {}, {}});
    figures->Add(
        {"flat1.to_bandwidth", "flat search, batch 1: share of the read bandwidth", times[3] / times[1], "x", 0.6, {}});
  }

  void ReadAll(std::span<const float> rows) const {
    constexpr size_t kLanes = 64, kBlock = 1 << 20;
    std::atomic<int64_t> sum = 0;
    ParallelFor(static_cast<int64_t>((rows.size() + kBlock - 1) / kBlock), threads_, [&](int64_t b) {
      const auto* words = reinterpret_cast<const int32_t*>(rows.data()) + static_cast<size_t>(b) * kBlock;
      const size_t count = std::min(kBlock, rows.size() - static_cast<size_t>(b) * kBlock);
      int32_t lanes[kLanes] = {};
      for (size_t i = 0; i + kLanes <= count; i += kLanes) {
        for (size_t l = 0; l < kLanes; ++l) lanes[l] ^= words[i + l];
      }
      for (const int32_t lane : lanes) sum += lane;
    });
    if (sum == 1) std::puts("");  // so that the reading is not left out
  }

  void Fetch(Figures* figures) {
    const std::vector<float> queries = Queries(corpus_, 1);
    std::vector<float> row(queries.size());
    const auto fetch = [&] {
      for (const auto& part : parts_) {
        for (const index::Hit& hit : hits_[&part - parts_.data()]) {
          part->ReadEmbedding(hit.id, row);
          fetched_ += part->ReadText(hit.id).size();
        }
      }
    };
    for (const auto& part : parts_) hits_.push_back(part->Search(queries, 1, s_.k / s_.partitions)[0]);
    fetch();
    const auto times = ShortestSeconds({fetch}, s_.repetitions);
    figures->Add({"fetch.ms",
                  fmt::format("embeddings and texts of K = {} candidates, warm", s_.k),
                  times[0] * 1e3,
                  "ms",
                  {},
                  3});
    const double n = static_cast<double>(s_.corpus.sequences);
    figures->Add({"disk.bytes_per_sequence", "the corpus on disk, a sequence", disk_bytes_ / n, "bytes", {}, {}});
  }

  // An index that searches a part of the rows, beside the flat search, at the least effort that reaches the recall.
  void PartialSearch(Figures* figures) {
    constexpr int kQueries = 200;
    const NpyFile file(s_.vectors.empty() ? (folder_ / "vectors.npy").string() : s_.vectors);
    const auto d = static_cast<size_t>(file.shape().at(1));
    const auto n = static_cast<size_t>(file.shape()[0]);
    const auto rows = index::EmbeddingRows::Of(file.values(), d);
    std::vector<float> queries;
    for (size_t q = 0; q < kQueries; ++q) {
      const auto row = file.values().subspan(q * n / kQueries * d, d);
      queries.insert(queries.end(), row.begin(), row.end());
    }
    const auto type = index::IndexType::Parse(s_.index, static_cast<int>(d));
    const double build_s =
        Seconds([&] { index::FaissIndex::Build(rows, {.type = type, .threads = threads_}, folder_ / "index.faiss"); });
    const auto index = index::FaissIndex::Open(folder_ / "index.faiss", type, rows, 1);
    const auto exact = index::SearchRows(rows, queries, kQueries, s_.k, threads_);
    int effort = 1;
    double recall = 0;
    for (; recall < kLeastRecall && effort < type.MostEffort(); effort *= 2) {
      recall = ShareFound(index->Search(queries, kQueries, s_.k, {effort, threads_}), exact);
      if (recall >= kLeastRecall) break;
    }
    const auto one = std::span(queries).first(d);
    const auto times = ShortestSeconds({[&] {
                                          index->Search(one, 1, s_.k, {effort, threads_});
                                        },
                                        [&] { index::SearchRows(rows, one, 1, s_.k, threads_); }},
                                       s_.repetitions * 5);
    figures->AddFact("index", fmt::format("{} over {} rows, {} {}", s_.index, n, type.EffortName(), effort));
    figures->Add({"index.build_s", "making the index " + s_.index, build_s, "s", {}, {}});
    figures->Add({"index.recall", fmt::format("its recall@{}", s_.k), recall, "", kLeastRecall, {}});
    figures->Add({"index.ms", "its search, batch 1", times[0] * 1e3, "ms", {}, {}});
    figures->Add({"index.faster", "times faster than the flat search, batch 1", times[1] / times[0], "x", 10, {}});
  }

  static double ShareFound(const std::vector<std::vector<index::RowHit>>& found,
                           const std::vector<std::vector<index::RowHit>>& exact) {
    double share = 0;
    for (size_t q = 0; q < exact.size(); ++q) {
      std::set<int64_t> wanted;
      for (const index::RowHit& hit : exact[q]) wanted.insert(hit.row);
      const auto both = std::ranges::count_if(found[q], [&](const auto& hit) { return wanted.contains(hit.row); });
      share += static_cast<double>(both) / static_cast<double>(wanted.size());
    }
    return share / static_cast<double>(exact.size());
  }

  static constexpr double kLeastRecall = 0.95;
  const IndexSettings& s_;
  const SyntheticCorpus corpus_;
  const fs::path folder_;
  const int threads_;
  std::vector<std::unique_ptr<index::Partition>> parts_;
  std::vector<std::vector<index::Hit>> hits_;
  double disk_bytes_ = 0;
  size_t fetched_ = 0;
};

}  // namespace

int BenchIndex(const Arguments& args) {
  IndexSettings s;
  OptionTable table("hullft bench index", "Measures building, searching and reading a corpus of synthetic sequences.");
  table.Add("model", &s.model, "folder of the language model whose tokenizer is used").Required();
  table.Add("sequences", &s.corpus.sequences, "of the corpus").Range(1000, 1e9);
  table.Add("text-bytes", &s.corpus.text_bytes, "of a sequence").Range(1, 1 << 20);
  table.Add("dim", &s.corpus.dim, "width of the embeddings").Range(1, 65536);
  table.Add("partitions", &s.partitions, "of the corpus").Range(1, 4096);
  table.Add("k", &s.k, "neighbours of a query").Range(1, 1e6);
  table.Add("index", &s.index, "an index to measure beside the flat search, e.g. IVF1024,Flat; empty: none");
  table.Add("vectors", &s.vectors, ".npy of embeddings for --index instead of the synthetic ones");
  table.Add("threads", &s.threads, "0: all cores this process may use").Range(0, 4096);
  table.Add("repetitions", &s.repetitions, "of which the shortest counts").Range(1, 1000);
  table.Add("scratch", &s.scratch, "folder for the input and the corpus, which are kept");
  table.Add("quiet", &s.quiet, "no progress");
  table.Add("output", &s.output, "file for the figures as JSON");
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
