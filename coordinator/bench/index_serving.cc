#include "coordinator/bench/index_serving.h"

#include <fcntl.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <fstream>

#include "common/blas.h"
#include "common/error.h"
#include "common/files.h"
#include "common/parallel.h"
#include "common/tokenizer/tokenizer.h"
#include "coordinator/bench/measure.h"
#include "index/corpus.h"
#include "index/manifest.h"
#include "index/partition_files.h"
#include "index/sequence_store.h"

namespace hullft::coordinator {
namespace {
namespace fs = std::filesystem;
using Partitions = std::vector<std::unique_ptr<index::Partition>>;

Partitions OpenAll(const ServingSettings& s) {
  const auto cache = std::make_shared<index::BlockCache>(256'000'000);  // a run's default
  Partitions parts;
  for (int p = 0; p < s.partitions; ++p) parts.push_back(index::Partition::Open(s.corpus, p, cache));
  return parts;
}

double Compressed(std::string_view bytes) {
  std::string out(::ZSTD_compressBound(bytes.size()), '\0');
  const size_t size = ::ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), 3);
  HULLFT_CHECK(::ZSTD_isError(size) == 0);
  return static_cast<double>(size);
}

// Lets go of the files' pages; those that are mapped or not written yet stay.
void DropFromMemory(const fs::path& folder) {
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    const int fd = ::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) throw IoError("open", entry.path().string());
    ::fdatasync(fd);  // ignored: pages that stay make the figure better than it is
    ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    ::close(fd);  // ignored: nothing is lost by it
  }
}

// Of this process, from storage.
double BytesRead() {
  std::ifstream lines("/proc/self/io");
  for (std::string name, value; lines >> name >> value;) {
    if (name == "read_bytes:") return std::stod(value);
  }
  return 0;
}

void ReadAll(std::span<const float> rows, int threads) {
  constexpr size_t kLanes = 64, kBlock = 1 << 20;
  std::atomic<int64_t> sum = 0;
  ParallelFor(static_cast<int64_t>((rows.size() + kBlock - 1) / kBlock), threads, [&](int64_t b) {
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

}  // namespace

void MeasureDisk(const ServingSettings& s, const SyntheticCorpus& input, const std::string& model, Figures* figures) {
  const index::CorpusInfo info = index::ReadCorpusInfo(s.corpus);
  double disk = 0;
  index::StoreReader::Bytes store;
  for (const index::PartitionInfo& part : info.parts) {
    disk += static_cast<double>(part.disk_bytes);
    const fs::path folder = index::PartitionFolder(s.corpus, part.number) / index::kStoreFolder;
    const auto bytes = index::StoreReader(folder, info.embedding_type).bytes();
    store.text += bytes.text;
    store.tokens += bytes.tokens;
  }
  std::string texts, tokens;
  const int64_t sample = std::min<int64_t>(20'000, input.settings().sequences);
  const auto tokenizer = Tokenizer::Load(model);
  for (int64_t i = 0; i < sample; ++i) {
    const std::string text = input.Text(i);
    texts += text;
    const std::vector<int32_t> ids = tokenizer->Encode(text, false);
    tokens.append(reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(int32_t));
  }
  const auto n = static_cast<double>(info.sequences);
  const double row_bytes = info.dim * static_cast<double>(BytesOf(info.embedding_type));
  // With a flat index the vectors that are searched are its codes, and the store's the embeddings.
  const double least = n * ((Compressed(texts) + Compressed(tokens)) / static_cast<double>(sample) + 2 * row_bytes);
  figures->Add({"disk.bytes_per_sequence", "the corpus on disk, a sequence", disk / n, "bytes", {}, {}});
  figures->Add({"disk.ratio", "to compressed texts + tokens + embeddings + codes", disk / least, "x", {}, 1.15});
  figures->Add({"disk.text_ratio",
                "texts on disk, to their bytes",
                static_cast<double>(store.text) / static_cast<double>(info.text_bytes),
                "x",
                {},
                {}});
  figures->Add({"disk.token_bytes",
                "a token on disk",
                static_cast<double>(store.tokens) / static_cast<double>(info.tokens),
                "bytes",
                {},
                {}});
}

void MeasureOpening(const ServingSettings& s, Figures* figures) {
  DropFromMemory(s.corpus);
  const double read_before = BytesRead();
  const double cold_s = Seconds([&] { OpenAll(s); });
  const double read = BytesRead() - read_before;
  const double warm_s = ShortestSeconds({[&] { OpenAll(s); }}, s.repetitions)[0];
  figures->Add({"open.ms", "opening it, files in memory", warm_s * 1e3, "ms", {}, 2000});
  figures->Add({"open.cold_ms", "opening it, files not in memory", cold_s * 1e3, "ms", {}, 2000});
  figures->Add({"open.cold_mb", "what that read from the disk", read / 1e6, "MB", {}, {}});
}

void MeasureFlatSearch(const ServingSettings& s, std::span<const float> queries, Figures* figures) {
  constexpr int kBatch = 64;
  DropFromMemory(s.corpus);
  const Partitions parts = OpenAll(s);
  const auto d = static_cast<size_t>(parts[0]->dim());
  size_t n = 0;
  for (const auto& part : parts) n += part->rows().size();
  const auto search = [&](int nq) {
    for (const auto& part : parts) part->Search(queries.first(static_cast<size_t>(nq) * d), nq, s.k, {0, s.threads});
  };
  const double stored = static_cast<double>(n * d * BytesOf(parts[0]->rows().type));
  const double cold_s = Seconds([&] { search(1); });
  std::vector<float> rows(n * d), scores(n * kBatch);
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = queries[i % queries.size()];
  const int count = static_cast<int>(n), width = static_cast<int>(d), batch = kBatch;
  const float one = 1, zero = 0;
  const auto times = ShortestSeconds({[&] { search(kBatch); }, [&] { search(1); },
                                      [&] {
                                        const BlasThreads all(s.threads);
                                        sgemm_("T", "N", &count, &batch, &width, &one, rows.data(), &width,
                                               queries.data(), &width, &zero, scores.data(), &count);
                                      },
                                      [&] { ReadAll(rows, s.threads); }},
                                     s.repetitions);
  const double bytes = static_cast<double>(rows.size()) * sizeof(float);
  figures->Add({"flat64.ms", fmt::format("flat search, batch 64, K = {}", s.k), times[0] * 1e3, "ms", {}, {}});
  figures->Add({"flat64.to_sgemm", "the same to one sgemm of that shape", times[0] / times[2], "x", {}, 1.5});
  figures->Add({"flat1.ms", fmt::format("flat search, batch 1, K = {}", s.k), times[1] * 1e3, "ms", {}, {}});
  figures->Add({"memory.gbs", "reading memory", bytes / times[3] / 1e9, "GB/s", {}, {}});
  figures->Add(
      {"flat1.to_bandwidth", "flat search, batch 1: share of the read bandwidth", times[3] / times[1], "x", 0.6, {}});
  figures->Add({"disk.read_gbs", "flat search, batch 1, vectors not in memory", stored / cold_s / 1e9, "GB/s", {}, {}});
}

void MeasureFetching(const ServingSettings& s, std::span<const float> query, Figures* figures) {
  const Partitions parts = OpenAll(s);
  std::vector<std::vector<index::SequenceId>> ids;
  for (const auto& part : parts) {
    ids.emplace_back();
    const auto hits = part->Search(query, 1, s.k / s.partitions, {0, s.threads});
    for (const index::Hit& hit : hits[0]) ids.back().push_back(hit.id);
  }
  size_t bytes = 0;
  const auto fetch = [&] {
    for (size_t p = 0; p < parts.size(); ++p) {
      std::vector<float> rows(ids[p].size() * query.size());
      parts[p]->ReadEmbeddings(ids[p], rows);
      for (const std::string& text : parts[p]->ReadTexts(ids[p])) bytes += text.size();
    }
  };
  fetch();
  const double seconds = ShortestSeconds({fetch}, s.repetitions)[0];
  HULLFT_CHECK(bytes > 0);
  figures->Add(
      {"fetch.ms", fmt::format("embeddings and texts of K = {} candidates, warm", s.k), seconds * 1e3, "ms", {}, 3});
}

}  // namespace hullft::coordinator
