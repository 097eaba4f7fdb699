// A built corpus on disk, opened for reading: P partitions, each a RocksDB store of sequences and a FAISS index over
// their embeddings (architecture: "The corpus on disk"; docs/formats/corpus.md). Immutable once built.
//
// Letters: P partitions, d width, K results. A global id and a row inside a partition are different types.
// Thread safety: an open Partition may be read from several threads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "index/block_scan.h"
#include "index/embedding_type.h"
#include "index/recall.h"
#include "index/vector_index.h"

namespace hullft::index {

// (input file number, record number): the same whatever P, the ranks or the order of work.
struct SequenceId {
  uint64_t value = 0;  // file << 40 | record
  auto operator<=>(const SequenceId&) const = default;
};

struct Hit {
  float score = 0;  // inner product as the library computed it: order final only after exact re-scoring
  SequenceId id;
};

struct PartitionInfo {
  int number = 0;
  int64_t sequences = 0, text_bytes = 0, tokens = 0, disk_bytes = 0;
  std::string digest;
};

// What one `index build` or `index add` has brought into a corpus (docs/decisions/0023). Its partitions and input files
// are numbered after those of the generations before; a text lives in first_partition + hash(text) mod partitions.
struct Generation {
  int first_partition = 0, partitions = 0;
  int64_t first_file = 0, files = -1;  // input files; -1: not known (corpora from before there were generations)
  int64_t records = 0, duplicates = 0, rejects = 0;
  std::string index = "Flat";
  std::string made_from;  // hash of all that decided its content: the same command does not add it twice
};

// How a corpus's encoder was used, which its queries' encoder follows (worker::EncoderOptions).
struct EncoderUse {
  std::string prompt = "";         // a name in the encoder's own list; "": its default
  std::string long_texts = "cut";  // or "average"
  std::string space = "";          // worker::Encoder::space(); "": nobody said (given embeddings, older corpora)
};

struct CorpusInfo {
  std::filesystem::path folder;
  int partitions = 0;  // of all generations
  int dim = 0;
  int64_t sequences = 0, text_bytes = 0, tokens = 0;
  std::string encoder_digest;    // worker::Encoder::digest() at build, or the hash of the .npy that was given
  std::string tokenizer_digest;  // of the language model's tokenizer; tokens are stored without special ones
  std::string digest;            // of the whole corpus's content; does not depend on ranks or order of work
  EmbeddingType embedding_type = EmbeddingType::kF32;
  std::string index = "Flat";  // index_type.h
  Recall recall;               // of the index as it was measured when it was built; Flat: not measured
  std::vector<PartitionInfo> parts;
  std::vector<Generation> generations;  // at least one
  EncoderUse encoder_use = {};
};

// The generation of a partition.
const Generation& GenerationOf(const CorpusInfo& info, int partition);

// The number that the next input file of a growing corpus gets.
int64_t NextFileNumber(const CorpusInfo& info);

// Reads manifests only. Throws kData for a folder that is not a finished corpus, naming what is missing.
CorpusInfo ReadCorpusInfo(const std::filesystem::path& folder);

class BlockCache;  // sequence_store.h

class Partition {
 public:
  // Checks the files' sizes and the checksums of ids and, up to 256 MiB, of vectors. Larger vectors and the blocks of
  // the store are checked when they are read; everything at once by `index verify`. Throws kData naming the file.
  // cache: of the store's blocks, for all partitions that share it; none: a small one of its own.
  static std::unique_ptr<Partition> Open(const std::filesystem::path& corpus, int number,
                                         std::shared_ptr<BlockCache> cache = nullptr);
  ~Partition();

  const PartitionInfo& info() const;
  int dim() const;
  const IndexType& index_type() const;

  // The k best by inner product for each of nq queries (row-major [nq][d]); fewer when the partition is smaller.
  std::vector<std::vector<Hit>> Search(std::span<const float> queries, int nq, int k,
                                       const SearchOptions& options = {}) const;
  // All embeddings and the id of each row: for the global oracle. Valid while open. Mapped, not read.
  EmbeddingRows rows() const;
  std::span<const SequenceId> ids() const;

  // Each of these throws kData when an id is not in this partition. Those of several ids answer in their order. What is
  // read is compared with its checksum from the build and read again once where it differs; a second time is kData.
  bool Contains(SequenceId id) const;
  void ReadEmbedding(SequenceId id, std::span<float> out) const;                     // d values
  void ReadEmbeddings(std::span<const SequenceId> ids, std::span<float> out) const;  // row-major [ids][d]
  std::vector<std::vector<int32_t>> ReadTokens(std::span<const SequenceId> ids) const;
  std::vector<std::string> ReadTexts(std::span<const SequenceId> ids) const;
  std::vector<int32_t> ReadTokens(SequenceId id) const;
  std::string ReadText(SequenceId id) const;
  std::string ReadMetadata(SequenceId id) const;  // the record's "meta" as JSON text, "" when it had none

  // The checksums of a sequence from the build, to go with what was read of it until it is used; of an older build,
  // made from the tokens or the embedding given.
  uint64_t TokensSum(SequenceId id, std::span<const int32_t> read) const;
  uint64_t EmbeddingSum(SequenceId id, std::span<const float> read) const;
  // From now on vectors are compared with their checksums whenever they are read, not once.
  void CheckEveryRead();

 private:
  Partition();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hullft::index
