// UTF-8: characters and their bytes, and what is none. Thread safety: free functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace hullft {

// A character and its length in bytes.
struct Character {
  char32_t code;
  uint32_t bytes;
};

// The character that begins at text[at]; text must be valid UTF-8 and at < text.size().
inline Character DecodeAt(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[at + i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xE0) return {static_cast<char32_t>((lead & 0x1F) << 6 | (byte(1) & 0x3F)), 2};
  if (lead < 0xF0) return {static_cast<char32_t>((lead & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F)), 3};
  return {
      static_cast<char32_t>((lead & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F)),
      4};
}

// The last character of a non-empty valid text.
Character DecodeLast(std::string_view text);

void AppendUtf8(char32_t code, std::string* out);

// Length of the well-formed character at bytes[at] (Unicode 15, table 3-7), at < bytes.size(); 0 when it is ill-formed,
// and then *bad is the length of the maximal ill-formed part.
size_t WellFormedLength(std::string_view bytes, size_t at, size_t* bad);

// Like Rust's String::from_utf8_lossy: every maximal ill-formed part becomes one U+FFFD.
std::string ToValidUtf8(std::string_view bytes);

// Where the first ill-formed byte is, or npos when the bytes are valid UTF-8.
size_t FindInvalidUtf8(std::string_view bytes);

}  // namespace hullft
