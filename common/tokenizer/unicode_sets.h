// Sets of characters of the reference's regular expressions, written for PCRE2. Internal to common/tokenizer.
//
// PCRE2's own tables may be of an older Unicode than the reference's: what differs from Unicode 14 (PCRE2 10.40 and
// later know that) is added or taken away here. Thread safety: free functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace hullft::tokenizer {

// All of these are the inside of a character class: "\p{L}\x{1c89}-\x{1c8a}", without brackets.

// The property White_Space: \s.
std::string SpaceSet();
// \w: letters, marks, numbers that are letters or decimal digits, connectors, and the alphabetic symbols.
std::string WordSet();
// What \w and \b take for a word besides, outside of classes: Latin-1's superscripts and fractions.
std::string LatinWordSet();
// A general category such as "L" or "Lu"; nothing for a name that is none.
std::optional<std::string> CategorySet(std::string_view name);
// All characters that are not in a set.
std::string Complement(const std::string& set);

}  // namespace hullft::tokenizer
