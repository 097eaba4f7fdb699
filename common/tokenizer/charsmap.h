// SentencePiece's compiled normalization rules ("Precompiled" in a tokenizer.json): a table from short strings to what
// replaces them. Internal to common/tokenizer. Thread safety: immutable.
//
// The bytes: the length of a trie in bytes (uint32, little endian), the trie (a double array of uint32 units, as
// darts-clone writes it), then the replacements, each ended by a zero byte.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/tokenizer/json_fields.h"

namespace hullft::tokenizer {

class Charsmap {
 public:
  // base64: the bytes. Throws kData that names the place for what is not such a table.
  Charsmap(std::string_view base64, Place place);
  Charsmap(const Charsmap&) = delete;
  Charsmap& operator=(const Charsmap&) = delete;

  // text: valid UTF-8, and so is the result. As the reference does it: a grapheme of fewer than six bytes is replaced
  // whole when one of its beginnings is in the table, else its characters are looked up one by one.
  std::string Normalize(std::string_view text) const;

 private:
  uint32_t Unit(uint32_t at) const;
  // What replaces the shortest beginning of text that is in the table.
  std::optional<std::string_view> Find(std::string_view text) const;
  void AppendCharacters(std::string_view text, std::string* out) const;

  Place place_;
  std::vector<uint32_t> units_;
  std::string replacements_;
  std::vector<std::optional<std::string_view>> ascii_;  // [128]: Find of each
};

}  // namespace hullft::tokenizer
