#include "index/repair.h"

#include <algorithm>

#include "common/error.h"
#include "common/files.h"
#include "common/hash.h"
#include "common/parallel.h"
#include "index/block_checks.h"
#include "index/manifest.h"
#include "index/partition_files.h"
#include "index/partition_writer.h"
#include "index/sequence_store.h"

namespace hullft::index {
namespace {
namespace fs = std::filesystem;

constexpr const char* kBuildAgain = "copy it again from a good corpus, or build the corpus again";

bool IsGood(const fs::path& folder, const FileEntry& file) {
  const fs::path path = folder / file.path;
  return fs::is_regular_file(path) && static_cast<int64_t>(fs::file_size(path)) == file.bytes &&
         HashFileHex(path) == file.hash;
}

// A file beside the damaged one until it is whole.
class Replacement {
 public:
  explicit Replacement(fs::path path) : path_(std::move(path)), temporary_(path_.string() + ".repaired") {
    fs::remove(temporary_);
  }
  const fs::path& file() const { return temporary_; }
  // Throws kData, and leaves the old file, unless what was written is what the manifest says.
  void Take(const FileEntry& wanted) {
    if (HashFileHex(temporary_) != wanted.hash) {
      fs::remove(temporary_);
      throw Error(Code::kData, path_.string() + " cannot be made again: what it is made from has changed too",
                  kBuildAgain);
    }
    TakeAsItIs();
  }
  void TakeAsItIs() {
    FsyncFile(temporary_);
    fs::rename(temporary_, path_);
    FsyncFolder(path_.parent_path());
  }

 private:
  const fs::path path_, temporary_;
};

class PartitionRepair {
 public:
  PartitionRepair(fs::path folder, int threads)
      : folder_(std::move(folder)), threads_(threads), manifest_(ReadPartitionManifest(folder_)) {
    for (const FileEntry& file : manifest_.files) {
      if (!IsGood(folder_, file)) damaged_.push_back(file.path);
    }
  }

  std::vector<std::string> Run() {
    if (damaged_.empty()) return {};
    const std::string vectors = VectorsFile(manifest_.embedding_type);
    const bool flat = manifest_.index == "Flat";
    for (const std::string& name : damaged_) {
      const bool from_store = name == kIdsFile || (flat && (name == vectors || name == kSumsFile));
      const bool from_others = name == kIndexFile || name == kSumsFile || name == kSequenceSumsFile;
      if (manifest_.format > 1 && (from_store || from_others)) continue;
      throw Error(Code::kData, (folder_ / name).string() + " is damaged, and nothing else holds what was in it",
                  kBuildAgain);
    }
    if (IsDamaged(kIdsFile) || (flat && (IsDamaged(vectors) || IsDamaged(kSumsFile)))) FromStore(flat, vectors);
    if (!flat && IsDamaged(kSumsFile)) SumsOf(vectors);
    if (IsDamaged(kSequenceSumsFile)) SequenceSumsOf();
    if (IsDamaged(kIndexFile)) Index();
    std::vector<std::string> made;
    for (const std::string& name : damaged_) made.push_back((folder_ / name).string());
    return made;
  }

 private:
  bool IsDamaged(const std::string& name) const { return std::ranges::find(damaged_, name) != damaged_.end(); }

  void FromStore(bool flat, const std::string& vectors_name) {
    Replacement ids(folder_ / kIdsFile), vectors(folder_ / vectors_name), sums(folder_ / kSumsFile);
    {
      AppendFile id_file(ids.file()), vector_file(vectors.file());
      BlockSums made;
      std::string bytes;
      const StoreReader store(folder_ / kStoreFolder, manifest_.embedding_type);
      store.ForEach([&](const SequenceView& s) {
        id_file.Append({reinterpret_cast<const char*>(&s.id.value), sizeof s.id.value});
        bytes.clear();
        Narrow(s.embedding, manifest_.embedding_type, &bytes);
        vector_file.Append(bytes);
        made.Add(bytes);
      });
      WriteFileAtomic(sums.file(), made.Finish());
    }
    ids.Take(EntryOf(manifest_, kIdsFile));
    if (flat) {
      vectors.Take(EntryOf(manifest_, vectors_name));
      sums.Take(EntryOf(manifest_, kSumsFile));
    } else {
      fs::remove(vectors.file());
      fs::remove(sums.file());
    }
  }

  void SumsOf(const std::string& vectors_name) {
    Replacement sums(folder_ / kSumsFile);
    const MappedFile vectors(folder_ / vectors_name);
    BlockSums made;
    made.Add({reinterpret_cast<const char*>(vectors.bytes().data()), vectors.bytes().size()});
    WriteFileAtomic(sums.file(), made.Finish());
    sums.Take(EntryOf(manifest_, kSumsFile));
  }

  // Of the store and the vectors, whose own checksums are right by now. They are taken only when they are those of the
  // build, by the manifest's hash: content that has changed since is not sealed anew.
  void SequenceSumsOf() {
    Replacement file(folder_ / kSequenceSumsFile);
    const auto vectors = OpenFlatIndex(folder_, manifest_);
    const StoreReader store(folder_ / kStoreFolder, manifest_.embedding_type);
    std::vector<float> scratch;
    std::string made;
    size_t row = 0;
    store.ForEach([&](const SequenceView& s) {
      const SequenceSums sums{Hash64(s.text), SumOf(s.tokens), SumOf(vectors->rows().Get(row++, 1, &scratch))};
      made.append(reinterpret_cast<const char*>(&sums), sizeof sums);
    });
    WriteFileAtomic(file.file(), made);
    file.Take(EntryOf(manifest_, kSequenceSumsFile));
  }

  void Index() {
    fs::remove(folder_ / kIndexFile);
    WriteIndex(folder_, manifest_, {threads_, 0});
    auto entry = std::ranges::find(manifest_.files, kIndexFile, &FileEntry::path);
    const std::string hash = HashFileHex(folder_ / kIndexFile);
    if (hash == entry->hash) return;
    entry->hash = hash;
    entry->bytes = static_cast<int64_t>(fs::file_size(folder_ / kIndexFile));
    WriteManifest(folder_, manifest_);
  }

  const fs::path folder_;
  const int threads_;
  PartitionManifest manifest_;
  std::vector<std::string> damaged_;
};

}  // namespace

std::vector<std::string> RepairCorpus(const fs::path& folder, int threads) try {
  CorpusManifest corpus = ReadCorpusManifest(folder);
  std::vector<std::string> made;
  bool changed = false;
  for (FileEntry& file : corpus.files) {  // the partitions' manifests
    if (!IsGood(folder, file)) {
      throw Error(Code::kData, (folder / file.path).string() + " is missing, damaged or of another corpus",
                  kBuildAgain);
    }
    const fs::path manifest = folder / file.path;
    for (std::string& name : PartitionRepair(manifest.parent_path(), threads > 0 ? threads : UsableCores()).Run())
      made.push_back(std::move(name));
    const std::string hash = HashFileHex(manifest);
    changed |= hash != file.hash;
    file.hash = hash;
    file.bytes = static_cast<int64_t>(fs::file_size(manifest));
  }
  if (changed) WriteManifest(folder, corpus);
  return made;
} catch (const fs::filesystem_error& error) {
  throw Error(Code::kIo, error.what());
}

}  // namespace hullft::index
