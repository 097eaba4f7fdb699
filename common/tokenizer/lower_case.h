// Lower case of whole texts, with context. Not what a tokenizer.json's Lowercase does, which takes each character by
// itself (unicode.h).
#pragma once

#include <string>
#include <string_view>

namespace hullft {

// As Python's str.lower(): every character by its own mapping, but a capital sigma that ends a word becomes a final
// one. Bytes that are not valid UTF-8 are returned as they are, for the tokenizer to refuse.
std::string LowerCase(std::string_view text);

}  // namespace hullft
