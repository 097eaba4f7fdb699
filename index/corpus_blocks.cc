#include "index/corpus_blocks.h"

#include "common/error.h"
#include "index/manifest.h"
#include "index/partition_files.h"
#include "index/sequence_store.h"

namespace hullft::index {

std::vector<CorpusInfo> ReadAlikeCorpora(std::span<const std::string> folders) {
  std::vector<CorpusInfo> corpora;
  for (const std::string& folder : folders) {
    corpora.push_back(ReadCorpusInfo(folder));
    CheckAlike(corpora.front(), corpora.back(), folder);
  }
  return corpora;
}

void CheckAlike(const CorpusInfo& corpus, const CorpusInfo& other, const std::string& name) {
  const auto same = [&](const char* what, const std::string& wanted, const std::string& found) {
    if (wanted == found) return;
    throw Error(Code::kUsage,
                fmt::format("{} has another {} ({}) than {} ({})", name, what, found, corpus.folder.string(), wanted),
                "one corpus has one encoder, one tokenizer and one type of embeddings: build it again with these");
  };
  same("width of embeddings", std::to_string(corpus.dim), std::to_string(other.dim));
  same("encoder", corpus.encoder_digest, other.encoder_digest);
  same("tokenizer", corpus.tokenizer_digest, other.tokenizer_digest);
  same("type of stored embeddings", std::string(EmbeddingTypeName(corpus.embedding_type)),
       std::string(EmbeddingTypeName(other.embedding_type)));
}

std::vector<InputBlock> CutIntoBlocks(std::span<const CorpusInfo> corpora) {
  std::vector<InputBlock> blocks;
  for (size_t c = 0; c < corpora.size(); ++c) {
    for (const PartitionInfo& part : corpora[c].parts)
      blocks.push_back({static_cast<int64_t>(c), part.number, part.number + 1, part.text_bytes});
  }
  return blocks;
}

std::vector<int64_t> FileOffsets(std::span<const CorpusInfo> corpora) {
  std::vector<int64_t> offsets;
  int64_t files = 0;
  for (const CorpusInfo& corpus : corpora) {
    offsets.push_back(files);
    files += NextFileNumber(corpus);
  }
  if (files > 1 << 24) throw DataError("together these corpora have {} input files, more than 2^24", files);
  return offsets;
}

int64_t ReadPartition(const CorpusInfo& corpus, int number, const std::function<void(const SequenceView&)>& take) {
  const auto folder = PartitionFolder(corpus.folder, number);
  const PartitionManifest manifest = ReadPartitionManifest(folder);
  CheckBelongs(corpus.folder, number);
  int64_t sequences = 0;
  StoreReader(folder / kStoreFolder, manifest.embedding_type)
      .ForEach(
          [&](const SequenceView& sequence) {
            ++sequences;
            take(sequence);
          },
          false);
  if (sequences != manifest.info.sequences) {
    throw Error(
        Code::kData,
        fmt::format("{} holds {} sequences, its manifest says {}", folder.string(), sequences, manifest.info.sequences),
        "hullft index verify says more");
  }
  return sequences;
}

}  // namespace hullft::index
