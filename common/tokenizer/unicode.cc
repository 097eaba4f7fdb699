#include "common/tokenizer/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include "common/error.h"
#include "common/tokenizer/unicode_tables.h"

namespace hullft::tokenizer {
namespace {

constexpr char32_t kLastCode = 0x10FFFF;

bool IsWhiteSpace(char32_t c) {
  return (c >= 0x9 && c <= 0xD) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
         c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

// \w besides letters: marks, decimal and letter numbers, connectors, Join_Control, and the symbols that are
// Other_Alphabetic.
bool IsWord(char32_t code) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code))) {
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      return code == 0x200C || code == 0x200D || (code >= 0x24B6 && code <= 0x24E9) ||
             (code >= 0x1F130 && code <= 0x1F149) || (code >= 0x1F150 && code <= 0x1F169) ||
             (code >= 0x1F170 && code <= 0x1F189);
  }
}

void Mark(const CodeRange* ranges, size_t count, uint16_t bit, uint16_t* table) {
  for (size_t i = 0; i < count; ++i)
    for (char32_t code = ranges[i].first; code <= ranges[i].last; ++code) table[code] |= bit;
}

// Categories that the system's library may not know yet.
void MarkNewWords(uint16_t* table) {
  for (size_t i = 0; i < kNewCategoriesCount; ++i) {
    const std::string_view name = kNewCategories[i].name;
    if (name[0] != 'M' && name != "Nd" && name != "Nl" && name != "Pc") continue;
    for (char32_t code = kNewCategories[i].first; code <= kNewCategories[i].last; ++code) table[code] |= kWord;
  }
}

std::vector<uint16_t> MakeClassTable() {
  std::vector<uint16_t> table(kLastCode + 1);
  Mark(kLetterRanges, kLetterRangesCount, kLetter | kWord, table.data());
  Mark(kNumberRanges, kNumberRangesCount, kNumber, table.data());
  Mark(kNumericRanges, kNumericRangesCount, kNumeric, table.data());
  Mark(kMarkRanges, kMarkRangesCount, kMark, table.data());
  Mark(kBertAccentRanges, kBertAccentRangesCount, kBertAccent, table.data());
  Mark(kBertControlRanges, kBertControlRangesCount, kBertControl, table.data());
  Mark(kBertPunctuationRanges, kBertPunctuationRangesCount, kBertPunctuation, table.data());
  Mark(kDecomposedRanges, kDecomposedRangesCount, kDecomposed, table.data());
  for (char32_t code = 0; code <= kLastCode; ++code) {
    if (IsWhiteSpace(code)) table[code] |= kSpace;
    if (IsWord(code)) table[code] |= kWord;
  }
  MarkNewWords(table.data());
  return table;
}

}  // namespace

namespace internal {
const uint16_t* ClassTable() {
  static const std::vector<uint16_t> table = MakeClassTable();
  return table.data();
}
}  // namespace internal

void AppendLower(char32_t code, std::string* out) {
  if (code < 0x80) {
    out->push_back(static_cast<char>(code >= 'A' && code <= 'Z' ? code + 32 : code));
  } else if (code == 0x130) {
    out->append("i\u0307");  // the only lower-case mapping to more than one character (SpecialCasing.txt)
  } else {
    const LowerRange* const end = kLowerRanges + kLowerRangesCount;
    const LowerRange* const range =
        std::lower_bound(kLowerRanges, end, code, [](const LowerRange& r, char32_t c) { return r.last < c; });
    const bool found = range != end && code >= range->first && (code - range->first) % range->step == 0;
    AppendUtf8(found ? code + static_cast<char32_t>(range->delta) : code, out);
  }
}

namespace {

// Whether the system's library knows a decomposition that the reference's older Unicode does not.
bool IsNewer(char32_t code) {
  return !IsA(code, kDecomposed) &&
         utf8proc_get_property(static_cast<utf8proc_int32_t>(code))->decomp_seqindex != UINT16_MAX;
}

// As the system's library has it.
std::string NormalizePart(std::string_view text, NormalForm form) {
  if (IsAscii(text)) return std::string(text);
  int options = UTF8PROC_STABLE;
  options |= form == NormalForm::kNfc || form == NormalForm::kNfkc ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
  if (form == NormalForm::kNfkc || form == NormalForm::kNfkd) options |= UTF8PROC_COMPAT;
  utf8proc_uint8_t* raw = nullptr;
  const utf8proc_ssize_t length =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), static_cast<utf8proc_ssize_t>(text.size()),
                   &raw, static_cast<utf8proc_option_t>(options));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(raw, &std::free);
  if (length == UTF8PROC_ERROR_NOMEM) throw std::bad_alloc();
  if (length < 0) throw DataError("Unicode normalization failed: {}", utf8proc_errmsg(length));
  return std::string(reinterpret_cast<const char*>(raw), static_cast<size_t>(length));
}

}  // namespace

std::string Normalize(std::string_view text, NormalForm form) {
  std::string out;
  size_t done = 0;
  for (size_t at = 0; at < text.size();) {
    const Character c = DecodeAt(text, at);
    at += c.bytes;
    if (c.code < 0x80 || !IsNewer(c.code)) continue;
    out += NormalizePart(text.substr(done, at - c.bytes - done), form);
    out += text.substr(at - c.bytes, c.bytes);
    done = at;
  }
  if (done == 0) return NormalizePart(text, form);
  return out + NormalizePart(text.substr(done), form);
}

bool IsAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

}  // namespace hullft::tokenizer
