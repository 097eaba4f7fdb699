// Against Python 3.11's str.lower().
#include "common/tokenizer/lower_case.h"

#include <gtest/gtest.h>

#include <utility>

namespace hullft {
namespace {

TEST(LowerCase, AsPythonDoesIt) {
  for (const auto& [text, expected] : {std::pair("", ""),
                                       {"MiXed 123", "mixed 123"},
                                       {"ÄÖÜẞ", "äöüß"},
                                       {"İ", "i̇"},                          // to two characters
                                       {"ΟΔΟΣ ΟΔΟΣ", "οδος οδος"},          // at the end of a word: final, ...
                                       {"ΣΟΦΙΑ Σ ΣΣ", "σοφια σ σς"},        // ... but not alone
                                       {"ΑΣ.Β ΑΣ' ΑΣ-Β", "ασ.β ας' ας-β"},  // a full stop may stand within a word
                                       {"Ά\xCC\x81Σ\xCC\x81", "ά́ς́"}}) {     // marks count for nothing
    EXPECT_EQ(LowerCase(text), expected) << text;
  }
  EXPECT_EQ(LowerCase("A\xFF"), "A\xFF");
}

}  // namespace
}  // namespace hullft
