// Finished corpora as the input of a build: a block is a partition; its sequences come with their ids, tokens and
// embeddings. Thread safety: free functions.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "index/content_digest.h"
#include "index/input_blocks.h"

namespace hullft::index {

// The corpora in folders. Throws kData for what is not one, kUsage, naming both corpora and what differs, unless all
// have the same encoder, tokenizer, width and type of stored embeddings.
std::vector<CorpusInfo> ReadAlikeCorpora(std::span<const std::string> folders);

// Throws kUsage, naming both and what differs, unless `other` (called `name`) was made with what `corpus` was.
void CheckAlike(const CorpusInfo& corpus, const CorpusInfo& other, const std::string& name);

// file: the corpus; begin: the partition.
std::vector<InputBlock> CutIntoBlocks(std::span<const CorpusInfo> corpora);

// What is added to each corpus's file numbers, so that all follow one another. Throws kData for more than 2^24 files.
std::vector<int64_t> FileOffsets(std::span<const CorpusInfo> corpora);

// Every sequence of a partition by id, without embeddings. Throws kData for a partition that is damaged or another
// corpus's. Returns how many there are.
int64_t ReadPartition(const CorpusInfo& corpus, int number, const std::function<void(const SequenceView&)>& take);

}  // namespace hullft::index
