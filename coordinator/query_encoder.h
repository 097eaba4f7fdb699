// The encoder of queries over a corpus: used as the corpus's own was, so that their vectors can be compared.
// Thread safety: a free function.
#pragma once

#include <memory>
#include <string>

#include "index/corpus.h"
#include "worker/encoder.h"

namespace hullft::coordinator {

inline constexpr const char* kQueryPromptHelp =
    "put before a query for the encoder: a name in its config_sentence_transformers.json; empty: as the corpus's "
    "sequences";

// folder: of the encoder. prompt: of the queries, "" for that of the corpus's sequences. What becomes of long texts is
// as in the corpus. Throws kData where its vectors are not comparable with the corpus's, kUsage for an unknown prompt.
std::unique_ptr<worker::Encoder> LoadQueryEncoder(const std::string& folder, const std::string& prompt,
                                                  const index::CorpusInfo& corpus, int threads);

}  // namespace hullft::coordinator
