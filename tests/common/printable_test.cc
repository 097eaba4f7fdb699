#include "common/printable.h"

#include <gtest/gtest.h>

namespace hullft {
namespace {

TEST(Printable, TextsOfAnyLanguageStayAsTheyAre) {
  const std::string text = "a\tb \xc3\xa9 \xe6\xbc\xa2 \xf0\x9f\x98\x80";
  EXPECT_EQ(Printable(text), text);
  EXPECT_EQ(PrintableLine("\xc3\xa9 \xe6\xbc\xa2 \xf0\x9f\x98\x80"), "\xc3\xa9 \xe6\xbc\xa2 \xf0\x9f\x98\x80");
}

TEST(Printable, WhatATerminalActsOnIsShown) {
  EXPECT_EQ(Printable("a\x1b[2Jb\r\x07\x7f"), "a\\x1b[2Jb\\x0d\\x07\\x7f");
  EXPECT_EQ(Printable("\xc2\x9b\x32J"), "\\u009b2J") << "C1: as ESC [ on some terminals";
  EXPECT_EQ(Printable("\xe2\x80\xae"
                      "txt.exe"),
            "\\u202etxt.exe")
      << "turns the direction of writing";
  EXPECT_EQ(Printable(std::string_view("a\0b", 3)), "a\\x00b");
}

TEST(Printable, NoLinePassesForAMessageOfItsOwn) {
  EXPECT_EQ(Printable("name\n12:00:00 info all is well"), "name\n  12:00:00 info all is well");
  EXPECT_EQ(Printable("faults:\n  one\n  two\n"), "faults:\n  one\n  two\n");
}

TEST(Printable, BytesThatAreNotUtf8) {
  EXPECT_EQ(Printable("\xff\xc3"), "\\xff\\xc3");
  EXPECT_EQ(Printable("\x9b"), "\\x9b");
  EXPECT_EQ(PrintableLine("\xed\xa0\x80"), "???") << "half a surrogate pair";
  EXPECT_EQ(PrintableLine("\xc0\x8a\xf5"), "???") << "a line feed in two bytes";
}

TEST(Printable, ACellIsOneLine) {
  EXPECT_EQ(PrintableLine("a\nb\r\tc\x1b[m\xc2\x9b"), "a b  c [m ");
}

}  // namespace
}  // namespace hullft
