#include "common/tokenizer/lower_case.h"

#include <utf8proc.h>

#include <algorithm>

#include "common/tokenizer/unicode.h"

namespace hullft {
namespace {

constexpr char32_t kCapitalSigma = 0x3A3, kFinalSigma = 0x3C2;

utf8proc_category_t CategoryOf(char32_t code) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(code));
}

// Unicode's property Cased: letters of either case, and what DerivedCoreProperties.txt adds to them (ordinals, Roman
// numerals, letters in circles and squares).
bool IsCased(char32_t c) {
  const utf8proc_category_t category = CategoryOf(c);
  return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL || category == UTF8PROC_CATEGORY_LT ||
         c == 0xAA || c == 0xBA || (c >= 0x2160 && c <= 0x217F) || (c >= 0x24B6 && c <= 0x24E9) ||
         (c >= 0x1F130 && c <= 0x1F149) || (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189);
}

// Unicode's property Case_Ignorable: marks, modifiers, and the punctuation that may stand within a word.
bool IsIgnorable(char32_t c) {
  constexpr char32_t kWithinWords[] = {'\'',   '.',    ':',    0xB7,   0x387,  0x55F,  0x5F4,  0x2018, 0x2019,
                                       0x2024, 0x2027, 0xFE13, 0xFE52, 0xFE55, 0xFF07, 0xFF0E, 0xFF1A};
  constexpr utf8proc_category_t kCategories[] = {UTF8PROC_CATEGORY_MN, UTF8PROC_CATEGORY_ME, UTF8PROC_CATEGORY_CF,
                                                 UTF8PROC_CATEGORY_LM, UTF8PROC_CATEGORY_SK};
  return std::ranges::count(kCategories, CategoryOf(c)) > 0 || std::ranges::count(kWithinWords, c) > 0;
}

// Whether a capital sigma between the two ends a word (the Unicode Standard, table 3-17, Final_Sigma).
bool EndsWord(std::string_view before, std::string_view after) {
  while (!before.empty() && IsIgnorable(DecodeLast(before).code)) {
    before.remove_suffix(DecodeLast(before).bytes);
  }
  if (before.empty() || !IsCased(DecodeLast(before).code)) return false;
  while (!after.empty() && IsIgnorable(DecodeAt(after, 0).code)) {
    after.remove_prefix(DecodeAt(after, 0).bytes);
  }
  return after.empty() || !IsCased(DecodeAt(after, 0).code);
}

}  // namespace

std::string LowerCase(std::string_view text) {
  std::string out;
  if (FindInvalidUtf8(text) != std::string_view::npos) return std::string(text);
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Character c = DecodeAt(text, at);
    if (c.code == kCapitalSigma && EndsWord(text.substr(0, at), text.substr(at + c.bytes))) {
      AppendUtf8(kFinalSigma, &out);
    } else {
      tokenizer::AppendLower(c.code, &out);
    }
    at += c.bytes;
  }
  return out;
}

}  // namespace hullft
