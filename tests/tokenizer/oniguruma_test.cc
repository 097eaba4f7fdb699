// Regular expressions mean what the reference's Oniguruma makes of them. Expected: tokenizers 0.23.3, Split.
#include "common/tokenizer/oniguruma.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/error.h"
#include "common/tokenizer/pattern.h"
#include "tests/caught.h"

namespace hullft::tokenizer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// All matches, in order.
std::vector<std::string> Matches(const std::string& pattern, std::string_view text) {
  std::vector<std::string> matches;
  Pattern({{"Regex", pattern}}, {"file", "pattern"}).ForEach(text, [&](size_t begin, size_t end, bool is_match) {
    if (is_match) matches.emplace_back(text.substr(begin, end - begin));
  });
  return matches;
}

TEST(OnigurumaTest, EscapesHaveItsMeaning) {
  EXPECT_THAT(Matches(R"(\h+)", "xfacade9 \t"), ElementsAre("facade9"));
  EXPECT_THAT(Matches(R"(\v)", "a\n\x0B\x0C"), ElementsAre("\x0B"));
  EXPECT_THAT(Matches(R"([\u4e2d-\u4e2e]|\x{e9}|\x41)", "中é A"), ElementsAre("中", "é", "A"));
  EXPECT_THAT(Matches(R"(\w+)", "e\u0301_\u203f9 \u00b2-\u24d0"), ElementsAre("e\u0301_\u203f9", "\u00b2", "\u24d0"));
  EXPECT_THAT(Matches(R"([\w]+)", "a\u00b2\u00bdb"), ElementsAre("a", "b"));  // not so in a class
  EXPECT_THAT(Matches(R"(x\b)", "x x\u0301 x\u00b2 xy"), ElementsAre("x"));
  EXPECT_THAT(Matches(R"(\R)", "a\r\nb\u2028"), ElementsAre("\r\n", "\u2028"));
}

TEST(OnigurumaTest, PropertiesAreOfTheReferencesUnicode) {
  EXPECT_THAT(Matches(R"(\p{Lu}|\p{Nd})", "\u1c89\u1c8a\U00010d40"), ElementsAre("\u1c89", "\U00010d40"));
  EXPECT_THAT(Matches(R"(\p{Mn})", "\U0001171e\u0301"), ElementsAre("\u0301"));  // U+1171E became Mc in Unicode 15
  EXPECT_THAT(Matches(R"(\p{^L}|[^\P{Lu}])", "a1\u1c89"), ElementsAre("1", "\u1c89"));
  EXPECT_THAT(Matches(R"([\P{L}\p{Lu}]+)", "ab C1\u1c8a"), ElementsAre(" C1"));
}

TEST(OnigurumaTest, ClassesNest) {
  EXPECT_THAT(Matches(R"([a-c[x-z]]+)", "abxq["), ElementsAre("abx"));
  EXPECT_THAT(Matches(R"( ?[^(\s|[.,!?])]+)", "Hi (you|me). ok"), ElementsAre("Hi", "you", "me", " ok"));
  EXPECT_THAT(Matches(R"([\w.-]+@)", "a-b.c@d"), ElementsAre("a-b.c@"));
  EXPECT_THAT(Matches(R"([[:digit:][:punct:]]+)", "a1$.\u0663"), ElementsAre("1$.\u0663"));
}

TEST(OnigurumaTest, IntervalsAndAnchorsAreRubys) {
  EXPECT_THAT(Matches(R"(\d{3}+)", "12345678"), ElementsAre("123456"));  // no possessive one, a repeated one
  EXPECT_THAT(Matches(R"((?:ab){2}+c)", "ababababc"), ElementsAre("ababababc"));
  EXPECT_THAT(Matches(R"(xa{,2}b)", "xb xaab xaaab"), ElementsAre("xb", "xaab"));
  EXPECT_THAT(Matches(R"(a{2}?b)", "b aab ab"), ElementsAre("b", "aab", "b"));
  EXPECT_THAT(Matches(R"(^x|y$)", "x\nxy\ny"), ElementsAre("x", "x", "y", "y"));
  EXPECT_THAT(Matches(R"((?m:a.)|b.)", "a\nb\nbc"), ElementsAre("a\n", "bc"));
  EXPECT_THAT(Matches("a{|}", "a{b}"), ElementsAre("a{", "}"));
}

TEST(OnigurumaTest, EmptyMatchesCutButNotBehindAnother) {
  EXPECT_THAT(Matches("x*", "axxb"), ElementsAre("", "xx", ""));
  EXPECT_EQ(Pattern({{"Regex", "x*"}}, {"file", "pattern"}).Replace("axxb", "-"), "-a-b-");
  EXPECT_EQ(Pattern({{"Regex", "^"}}, {"file", "pattern"}).Replace("", "-"), "");
  EXPECT_THAT(Matches("(?=[A-Z])", "aB"), ElementsAre(""));
  EXPECT_THAT(Matches("y+", "axxb"), IsEmpty());
}

TEST(OnigurumaTest, WhatIsNotUnderstoodIsNamed) {
  const auto refusal = [](const char* pattern) {
    const Error error = Caught([&] { PcreOfOniguruma(pattern, {"file", "pattern"}); });
    EXPECT_EQ(error.code(), Code::kData) << pattern;
    return error.message();
  };
  EXPECT_THAT(refusal("[a-z&&[^b]]"), HasSubstr("an intersection of classes at byte 4"));
  EXPECT_THAT(refusal(R"(\p{Han})"), HasSubstr("the property 'Han'"));
  EXPECT_THAT(refusal(R"(a\K)"), HasSubstr(R"(the escape \K)"));
  EXPECT_THAT(refusal(R"(\xe4)"), HasSubstr("a character code"));
  EXPECT_THAT(refusal("[[:alpha:]]"), HasSubstr("a named class"));
  EXPECT_THAT(refusal("(?<n>a)"), HasSubstr("an unknown kind of group"));
  EXPECT_THAT(refusal("x(?i)a|b"), HasSubstr("an unknown kind of group"));
  EXPECT_THAT(refusal("(*FAIL)"), HasSubstr("a callout"));
  EXPECT_THAT(refusal("(?i:miss)"), HasSubstr("letters that a ligature stands for"));
  for (const char* broken :
       {"(", ")", "[", "[a", "[]", "[^]", "[a-[b]]", "\\", "[\\", R"(\p{L)", R"(\u12)", R"([a-\w])"})
    EXPECT_THAT(refusal(broken), HasSubstr("file: pattern has")) << broken;
}

}  // namespace
}  // namespace hullft::tokenizer
