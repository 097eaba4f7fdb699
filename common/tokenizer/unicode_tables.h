// The character classes of the reference implementation, as sorted inclusive ranges. Only unicode.cc and
// unicode_sets.cc read them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hullft::tokenizer {

struct CodeRange {
  char32_t first, last;
};

extern const CodeRange kLetterRanges[], kNumberRanges[], kNumericRanges[], kMarkRanges[], kBertAccentRanges[],
    kBertControlRanges[], kBertPunctuationRanges[], kDecomposedRanges[];
extern const size_t kLetterRangesCount, kNumberRangesCount, kNumericRangesCount, kMarkRangesCount,
    kBertAccentRangesCount, kBertControlRangesCount, kBertPunctuationRangesCount, kDecomposedRangesCount;

// The characters first, first + step, ..., last become lower case by adding delta.
struct LowerRange {
  char32_t first, last, step;
  int32_t delta;
};

extern const LowerRange kLowerRanges[];
extern const size_t kLowerRangesCount;

// A run of characters of one general category, e.g. "Lu".
struct CategoryRange {
  char32_t first, last;
  char name[3];
};

extern const CategoryRange kNewCategories[];
extern const size_t kNewCategoriesCount;

}  // namespace hullft::tokenizer
