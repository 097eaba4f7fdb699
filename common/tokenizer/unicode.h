// The character classes that tokenizers speak of. Internal to common/tokenizer.
//
// Thread safety: free functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/utf8.h"

namespace hullft::tokenizer {

// Bits of CharacterClass: the reference's classes (unicode_tables.h), so that ids depend neither on a locale nor on
// which version of Unicode a system's libraries know.
enum : uint16_t {
  kLetter = 1,             // \p{L} in regular expressions
  kNumber = 2,             // \p{N} in regular expressions
  kSpace = 4,              // the property White_Space: \s, char::is_whitespace
  kNumeric = 8,            // char::is_numeric
  kMark = 16,              // what StripAccents deletes
  kBertAccent = 32,        // what BertNormalizer deletes as an accent
  kBertControl = 64,       // what BertNormalizer deletes as a control character (also U+0000 and U+FFFD)
  kBertPunctuation = 128,  // where BertPreTokenizer splits
  kWord = 256,             // \w, as far as "single_word" of added tokens needs it
  kDecomposed = 512,       // what NFKD changes
};

namespace internal {
const uint16_t* ClassTable();  // [0x110000], made at the first call
}
inline uint16_t CharacterClass(char32_t code) {
  static const uint16_t* const table = internal::ClassTable();
  return table[code];
}
inline bool IsA(char32_t code, uint16_t classes) {
  return (CharacterClass(code) & classes) != 0;
}

// The full lower-case mapping of one character, without context (a final sigma is an ordinary sigma).
void AppendLower(char32_t code, std::string* out);

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };
std::string Normalize(std::string_view text, NormalForm form);

bool IsAscii(std::string_view text);

}  // namespace hullft::tokenizer
