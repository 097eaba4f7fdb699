#include "coordinator/study/table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hullft::study {
namespace {
using ::testing::HasSubstr;
using ::testing::Not;

const Table kHostile{"A & B", {"sub,set", "50%"}, {{"<script>|x_y\\\"\n\x1b[31m", {"1.5", true, "[1, 2]*"}}}};

TEST(Table, EveryFormEscapes) {
  EXPECT_EQ(Csv(kHostile), "\"sub,set\",50%\r\n\"<script>|x_y\\\"\"\n\x1b[31m\",1.5\r\n");
  const std::string markdown = Markdown(kHostile);
  EXPECT_THAT(markdown, HasSubstr("| &lt;script>\\|x\\_y\\\\\"  \\[31m | **1.5** \\[1, 2]\\* |"));
  const std::string latex = Latex(kHostile);
  EXPECT_THAT(latex, HasSubstr("50\\%"));
  EXPECT_THAT(latex, HasSubstr("|x\\_y\\textbackslash{}"));
  EXPECT_THAT(latex, HasSubstr("\\textbf{1.5} {\\scriptsize [1, 2]*} \\\\"));
  const std::string plain = PlainText(kHostile);
  EXPECT_THAT(plain, Not(HasSubstr("\x1b")));
  EXPECT_EQ(std::ranges::count(plain, '\n'), 3);
}

TEST(Table, PlainTextIsAligned) {
  const Table table{"t", {"a", "b"}, {{"é", "1"}, {"long", "22"}}};
  EXPECT_EQ(PlainText(table), "t\na      b\né      1\nlong  22\n");
}

}  // namespace
}  // namespace hullft::study
