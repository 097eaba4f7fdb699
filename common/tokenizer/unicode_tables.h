// The character classes of the reference implementation, as sorted inclusive ranges. Only unicode.cc reads them.
#pragma once

#include <cstddef>

namespace hullft::tokenizer {

struct CodeRange {
  char32_t first, last;
};

extern const CodeRange kLetterRanges[], kNumberRanges[], kNumericRanges[], kMarkRanges[], kBertAccentRanges[],
    kBertControlRanges[], kBertPunctuationRanges[];
extern const size_t kLetterRangesCount, kNumberRangesCount, kNumericRangesCount, kMarkRangesCount,
    kBertAccentRangesCount, kBertControlRangesCount, kBertPunctuationRangesCount;

}  // namespace hullft::tokenizer
