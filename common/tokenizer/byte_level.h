// The byte-level alphabet of GPT-2 and its splitting rule. Internal to common/tokenizer. Thread safety: free functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace hullft::tokenizer {

// Appends the printable stand-in of every byte (GPT-2's bytes_to_unicode: '!'..'~', U+A1..U+AC and U+AE..U+FF stand for
// themselves, the others for U+0100 onwards in order).
void AppendByteLevel(std::string_view bytes, std::string* out);

// The byte that a stand-in means, or nothing for another character.
std::optional<unsigned char> ByteOfStandIn(char32_t code);

// GPT-2's pattern, as files write it in Split components.
inline constexpr const char* kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// Where the match of kGpt2Pattern that begins at text[at] ends. Matches are never empty and leave no gap, so repeated
// calls cut a whole text. The hand-written equal of the regular expression (tests/tokenizer/byte_level_test.cc compares
// them).
size_t Gpt2PieceEnd(std::string_view text, size_t at);

}  // namespace hullft::tokenizer
