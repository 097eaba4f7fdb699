// The hand-written GPT-2 splitter and the byte alphabet against their slow oracles.
#include "common/tokenizer/byte_level.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "common/tokenizer/regex.h"
#include "common/tokenizer/unicode.h"

namespace hullft::tokenizer {
namespace {

// Characters at which the classes meet; sometimes any other.
std::string RandomText(std::mt19937* random) {
  static const char32_t kCodes[] = {' ',  ' ',    ' ',    '\n',   '\t',    '\r',   0x0B,   0x0C,   0x1C,    0x85,
                                    0xA0, 0x1680, 0x180E, 0x200B, 0x2028,  0x3000, '\'',   '\'',   's',     't',
                                    'r',  'e',    'v',    'l',    'm',     'd',    'S',    'a',    'Z',     '0',
                                    '9',  0xB2,   0x2177, 0x660,  0xE9,    0x301,  0x4E2D, 0xD55C, 0x1F389, '.',
                                    '_',  '<',    0x2581, 0xFFFD, 0x10400, 0xFB01, 0x5D0,  0xE01,  0x20DD,  0x0};
  std::uniform_int_distribution<size_t> pick(0, std::size(kCodes) - 1), length(1, 40);
  std::string text;
  std::uniform_int_distribution<char32_t> any(0xE000, 0x10FFFF);
  for (size_t i = length(*random); i > 0; --i) AppendUtf8(i % 8 == 0 ? any(*random) : kCodes[pick(*random)], &text);
  return text;
}

TEST(Gpt2SplitTest, EqualsTheRegularExpression) {
  const Regex regex(kGpt2Pattern, {"test", "pattern"});
  std::mt19937 random(1);
  for (int round = 0; round < 20000; ++round) {
    const std::string text = RandomText(&random);
    for (size_t at = 0; at < text.size();) {
      const auto match = regex.Find(text, at);
      ASSERT_TRUE(match.has_value());
      ASSERT_EQ(match->begin, at);
      ASSERT_EQ(Gpt2PieceEnd(text, at), match->end) << "in '" << text << "' from byte " << at;
      at = match->end;
    }
  }
}

TEST(ByteAlphabetTest, IsABijectionWithPrintableStandIns) {
  std::set<char32_t> seen;
  for (int byte = 0; byte < 256; ++byte) {
    std::string stand_in;
    AppendByteLevel(std::string(1, static_cast<char>(byte)), &stand_in);
    const Character c = DecodeAt(stand_in, 0);
    EXPECT_EQ(c.bytes, stand_in.size());
    EXPECT_TRUE(seen.insert(c.code).second);
    EXPECT_EQ(ByteOfStandIn(c.code), static_cast<unsigned char>(byte));
    EXPECT_FALSE(IsA(c.code, kSpace));
  }
  EXPECT_EQ(ByteOfStandIn(' '), std::nullopt);
  EXPECT_EQ(ByteOfStandIn(0x144), std::nullopt);
  EXPECT_EQ(ByteOfStandIn(0x120), ' ');  // the letter G with a dot above that GPT-2's tokens begin with
}

TEST(RegexTest, SpacesAreThoseOfUnicodeInsideAndOutsideOfClasses) {
  for (const char* pattern : {R"(\s)", R"([\s])", R"([^\S])", R"((?!\S).)"}) {
    const Regex regex(pattern, {"test", "pattern"});
    for (char32_t code = 1; code < 0x3100; ++code) {
      std::string text;
      AppendUtf8(code, &text);
      if (code == '\n' && pattern[0] == '(') continue;  // a dot does not match it
      EXPECT_EQ(regex.Find(text, 0).has_value(), IsA(code, kSpace))
          << pattern << " U+" << std::hex << static_cast<int>(code);
    }
  }
}

TEST(RegexTest, LongRunsMatchWhole) {  // more backtracking than the JIT's stack holds
  const Regex regex(R"((?:a|b|[0-9])+(?!\S))", {"test", "pattern"});
  const std::string text(1 << 20, 'a');
  const auto match = regex.Find(text + " ", 0);
  ASSERT_TRUE(match.has_value());
  EXPECT_EQ(match->end, text.size());
}

TEST(RegexTest, LettersAndNumbersAreThoseOfTheReference) {
  const Regex letter(R"(\p{L})", {"test", "pattern"}), number(R"([\p{N}])", {"test", "pattern"});
  for (char32_t code = 0; code < 0x110000; ++code) {
    if (code >= 0xD800 && code < 0xE000) continue;
    std::string text;
    AppendUtf8(code, &text);
    ASSERT_EQ(letter.Find(text, 0).has_value(), IsA(code, kLetter)) << std::hex << static_cast<int>(code);
    ASSERT_EQ(number.Find(text, 0).has_value(), IsA(code, kNumber)) << std::hex << static_cast<int>(code);
  }
}

TEST(UnicodeTest, IllFormedBytesAreFoundAndReplacedPartByPart) {
  const std::pair<const char*, const char*> cases[] = {{"a\xFFz", "a\uFFFDz"},
                                                       {"\xE4\xB8", "\uFFFD"},
                                                       {"\xE4\xB8z", "\uFFFDz"},
                                                       {"\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD"},
                                                       {"\xC0\xAF", "\uFFFD\uFFFD"},
                                                       {"\xF0\x9F\x8E", "\uFFFD"},
                                                       {"\xF4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"},
                                                       {"\x80", "\uFFFD"}};
  for (const auto& [bytes, text] : cases) {
    EXPECT_NE(FindInvalidUtf8(bytes), std::string_view::npos);
    EXPECT_EQ(ToValidUtf8(bytes), text);
  }
  EXPECT_EQ(FindInvalidUtf8("a\u00E9\u4E2D\U0001F389"), std::string_view::npos);
  EXPECT_EQ(FindInvalidUtf8("ab\xC3"), 2u);
}

}  // namespace
}  // namespace hullft::tokenizer
