#include "index/verify.h"

#include <algorithm>
#include <mutex>
#include <set>

#include "common/error.h"
#include "common/files.h"
#include "common/hash.h"
#include "common/parallel.h"
#include "common/progress.h"
#include "index/content_digest.h"
#include "index/faiss_index.h"
#include "index/manifest.h"
#include "index/partition_files.h"
#include "index/sequence_store.h"
#include "index/staging.h"
#include "index/vector_index.h"

namespace hullft::index {
namespace {
namespace fs = std::filesystem;

// Faults from several threads.
class Faults {
 public:
  void Add(std::string fault) {
    const std::lock_guard lock(mutex_);
    faults_.insert(std::move(fault));
  }
  size_t count() const { return faults_.size(); }
  std::string Text() const {
    std::string text;
    int named = 0;
    for (const std::string& fault : faults_) {
      if (named++ == 20) return text + fmt::format("\n  and {} more", faults_.size() - 20);
      text += (text.empty() ? "" : "\n  ") + fault;
    }
    return text;
  }

 private:
  mutable std::mutex mutex_;
  std::set<std::string> faults_;
};

// Calls check and turns what it throws into a fault. False then.
template <class Function>
bool Try(Faults* faults, const Function& check) {
  try {
    check();
    return true;
  } catch (const Error& error) {
    if (error.code() == Code::kInterrupted || error.code() == Code::kMemory) throw;
    faults->Add(error.message());
    return false;
  }
}

// Every listed file is there with its size and hash; reports what is wrong, and adds the paths to listed.
bool CheckFiles(const fs::path& folder, const std::vector<FileEntry>& files, std::set<fs::path>* listed,
                Faults* faults) {
  bool good = true;
  for (const FileEntry& file : files) {
    const fs::path path = folder / file.path;
    listed->insert(path);
    good &= Try(faults, [&] {
      if (!fs::is_regular_file(path)) throw DataError("{} is missing", path.string());
      const auto bytes = static_cast<int64_t>(fs::file_size(path));
      if (bytes != file.bytes) throw DataError("{} has {} bytes instead of {}", path.string(), bytes, file.bytes);
      if (HashFileHex(path) != file.hash) throw DataError("{} is damaged: its checksum does not match", path.string());
    });
  }
  return good;
}

// The store against the ids, the vectors, the manifest and the partition it should be in. The files are whole.
void CheckContent(const fs::path& folder, const PartitionManifest& manifest, Progress* progress) {
  const PartitionInfo& info = manifest.info;
  const MappedFile id_file(folder / kIdsFile);
  const auto* ids = reinterpret_cast<const SequenceId*>(id_file.bytes().data());
  const auto rows = static_cast<int64_t>(id_file.bytes().size() / sizeof(SequenceId));
  const auto vectors = OpenFlatIndex(folder, manifest);
  if (rows != info.sequences || vectors->size() != info.sequences || vectors->dim() != manifest.dim) {
    throw DataError("{}: {} ids and {} vectors of width {}, the manifest says {} of width {}", folder.string(), rows,
                    vectors->size(), vectors->dim(), info.sequences, manifest.dim);
  }
  const StoreReader store(folder / kStoreFolder, manifest.embedding_type);
  const auto sums = OpenSequenceSums(folder, manifest);
  std::vector<float> scratch;
  const IndexType type = IndexType::Parse(manifest.index, manifest.dim);
  const bool in_store = type.kind == IndexKind::kFlat;
  if (!in_store) FaissIndex::Open(folder / kIndexFile, type, vectors->rows(), 0);  // throws what does not fit
  ContentDigest digest;
  int64_t row = 0, text_bytes = 0, tokens = 0;
  store.ForEach([&](const SequenceView& s) {
    if (row >= rows || ids[row] != s.id)
      throw DataError("{}: row {} of {} is not the store's id {}", folder.string(), row, kIdsFile, s.id.value);
    const auto vector = vectors->rows().Get(static_cast<size_t>(row), 1, &scratch);
    if (in_store && !std::ranges::equal(vector, s.embedding)) {
      throw DataError("{}: the store's embedding of id {} differs from row {} of the vectors", folder.string(),
                      s.id.value, row);
    }
    if (manifest.first_partition + PartitionOf(s.text, manifest.partitions) != info.number) {
      throw DataError("{}: id {} belongs to another partition", folder.string(), s.id.value);
    }
    if (sums && ((*sums)[row].text != Hash64(s.text) || (*sums)[row].tokens != SumOf(s.tokens) ||
                 (*sums)[row].embedding != SumOf(std::span<const float>(vector)))) {
      throw DataError("{}: the checksums of id {} are not those of its content", folder.string(), s.id.value);
    }
    digest.Add({s.id, s.text, s.metadata, s.tokens, vector});
    ++row;
    text_bytes += static_cast<int64_t>(s.text.size());
    tokens += static_cast<int64_t>(s.tokens.size());
    progress->Add();
  });
  if (row != rows || text_bytes != info.text_bytes || tokens != info.tokens || digest.Hex() != info.digest) {
    throw DataError("{}: the store's content is not what the manifest says", folder.string());
  }
}

void CheckPartition(const CorpusManifest& corpus, int number, std::set<fs::path>* listed, Faults* faults,
                    Progress* progress) {
  const fs::path folder = PartitionFolder(corpus.info.folder, number);
  PartitionManifest manifest;
  if (!Try(faults, [&] { manifest = ReadPartitionManifest(folder); })) {
    if (!fs::exists(folder)) return;
    // Nothing tells what belongs here: name the manifest alone.
    for (const auto& entry : fs::recursive_directory_iterator(folder, fs::directory_options::skip_permission_denied)) {
      listed->insert(entry.path());
    }
    return;
  }
  if (!CheckFiles(folder, manifest.files, listed, faults)) return;
  Try(faults, [&] {
    const CorpusInfo& info = corpus.info;
    const Generation& generation = GenerationOf(info, number);
    if (manifest.info.number != number || manifest.partitions != generation.partitions ||
        manifest.first_partition != generation.first_partition || manifest.dim != info.dim ||
        manifest.encoder_digest != info.encoder_digest || manifest.tokenizer_digest != info.tokenizer_digest ||
        manifest.embedding_type != info.embedding_type || manifest.index != generation.index ||
        manifest.info.digest != info.parts.at(static_cast<size_t>(number)).digest) {
      throw DataError("{} is from another corpus", folder.string());
    }
    CheckContent(folder, manifest, progress);
  });
}

void CheckTotals(const CorpusManifest& corpus, Faults* faults) {
  const CorpusInfo& info = corpus.info;
  int64_t sequences = 0, text_bytes = 0, tokens = 0;
  ContentDigest content;
  for (const PartitionInfo& part : info.parts) {
    sequences += part.sequences;
    text_bytes += part.text_bytes;
    tokens += part.tokens;
    content.Add(ContentDigest::FromHex(part.digest));
  }
  if (static_cast<int>(info.parts.size()) != info.partitions || sequences != info.sequences ||
      text_bytes != info.text_bytes || tokens != info.tokens || CorpusDigest(content, info) != info.digest ||
      corpus.records != sequences + corpus.duplicates) {
    faults->Add((info.folder / "corpus.json").string() + ": the totals are not the sums over the partitions");
  }
}

}  // namespace

CorpusInfo VerifyCorpus(const fs::path& folder, int threads, bool quiet) try {
  const CorpusManifest corpus = ReadCorpusManifest(folder);
  Faults faults;
  std::set<fs::path> listed = {folder / "corpus.json"};
  CheckFiles(folder, corpus.files, &listed, &faults);
  CheckTotals(corpus, &faults);
  const auto parts = static_cast<size_t>(corpus.info.partitions);
  std::vector<std::set<fs::path>> listed_by_part(parts);
  {
    Progress progress("verifying", "sequences", corpus.info.sequences, 0, !quiet);
    ParallelFor(static_cast<int64_t>(parts), threads > 0 ? threads : UsableCores(), [&](int64_t p) {
      CheckPartition(corpus, static_cast<int>(p), &listed_by_part[static_cast<size_t>(p)], &faults, &progress);
    });
  }
  for (const auto& more : listed_by_part) listed.insert(more.begin(), more.end());
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_directory() && !listed.contains(entry.path())) {
      faults.Add(entry.path().string() + " does not belong to the corpus");
    }
  }
  if (faults.count() > 0) {
    throw Error(Code::kData, faults.Text(), "the corpus is damaged: copy it again from a good one, or build it again");
  }
  return corpus.info;
} catch (const fs::filesystem_error& error) {
  throw Error(Code::kIo, error.what());
}

}  // namespace hullft::index
