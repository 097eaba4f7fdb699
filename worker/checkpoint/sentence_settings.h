// What a sentence-transformers folder says of an encoder besides its weights: how a text's vector is made of its hidden
// states, what is put before a text, and how long a text may be. Read without Torch. Thread safety: free functions.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace hullft::worker {

enum class Pooling { kMean, kCls, kMax };
// As sentence-transformers names them: "mean", "cls", "max".
const char* PoolingName(Pooling pooling);

struct SentenceSettings {
  std::filesystem::path model;       // folder of the transformer: config.json, tokenizer.json, weights
  Pooling pooling = Pooling::kMean;  // also of a plain Hugging Face folder
  std::string prompt;                // put before every text
  bool lower_case = false;           // of a text and its prompt, before the tokenizer sees them
  int64_t max_tokens = 0;            // special ones included; 0: the folder does not say
};

// prompt: a name in config_sentence_transformers.json, or "": the one that the folder uses by default, if any. Vectors
// are of length 1 whether the folder has a Normalize module or not. Throws kData that names file and field for modules
// and settings that are not implemented, kUsage for a prompt that the folder does not have.
SentenceSettings ReadSentenceSettings(const std::filesystem::path& folder, const std::string& prompt);

}  // namespace hullft::worker
