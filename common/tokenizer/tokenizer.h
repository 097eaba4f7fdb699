// Hugging Face tokenizers: reads an ordinary tokenizer.json and gives exactly the ids of the reference implementation.
//
// A component or field of the file that is not implemented is a kData error that names it, never ignored. Truncation
// and padding in the file are not applied (the caller cuts). Thread safety: a loaded Tokenizer is immutable; Encode and
// Decode may be called from any number of threads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hullft {

class Tokenizer {
 public:
  // path: a tokenizer.json, a folder that holds one, or a GGUF file: the tokenizer.json beside it, else its own.
  static std::unique_ptr<Tokenizer> Load(const std::filesystem::path& path);
  ~Tokenizer();

  // Ids of a text that must be valid UTF-8 (kData otherwise). add_special runs the post-processor's template.
  // Bytes that the vocabulary cannot express vanish, as in the reference; they are counted in dropped_bytes() and
  // warned about once.
  std::vector<int32_t> Encode(std::string_view text, bool add_special) const;
  // Text of ids, special tokens kept (skip_special_tokens=False).
  std::string Decode(std::span<const int32_t> ids) const;

  int32_t vocab_size() const;
  // The id of a token's exact content (added or not), or -1.
  int32_t TokenId(std::string_view content) const;
  // How many ids add_special adds to a single text, at its front and at its end.
  std::pair<int, int> num_special() const;
  // HashHex of the file: what "the same tokenizer" means on disk and between ranks.
  const std::string& digest() const;
  int64_t dropped_bytes() const;

 private:
  Tokenizer();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Whether bytes are valid UTF-8 (no surrogates, no overlong forms).
bool IsValidUtf8(std::string_view bytes);

}  // namespace hullft
