#include "common/figures.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/error.h"
#include "tests/caught.h"

namespace hullft {
namespace {
using ::testing::ContainsRegex;
using ::testing::HasSubstr;

Figures Sample() {
  Figures figures("cluster", {{"host", "n1"}});
  figures.Add({"journal.rows", "durable rows", 9970.25, "rows/s", 2000, {}});
  figures.Add({"round.ratio", "round over processes", 1.3, "x", {}, 1.2});
  figures.Add({"idle", "an idle rank", 0.1 + 0.2, "%", {}, {}});
  return figures;
}

TEST(Figures, ALimitIsMetAtTheLimit) {
  EXPECT_TRUE((Figure{"", "", 2, "", 2, 2}.Met()));
  EXPECT_FALSE((Figure{"", "", 1.99, "", 2, {}}.Met()));
  EXPECT_FALSE((Figure{"", "", 2.01, "", {}, 2}.Met()));
  EXPECT_TRUE((Figure{"", "", -1e9, "", {}, {}}.Met()));
}

TEST(Figures, TheTableNamesWhatWasMissed) {
  const std::string table = Sample().Table();
  EXPECT_THAT(table, ContainsRegex("host +n1\n"));
  EXPECT_THAT(table, ContainsRegex("durable rows +9970 rows/s +at least 2000\n"));
  EXPECT_THAT(table, ContainsRegex("round over processes +1.3 x +at most 1.2: MISSED\n"));
  EXPECT_THAT(table, ContainsRegex("an idle rank +0.3 %\n"));
}

TEST(Figures, JsonReadsBackToTheSameBits) {
  const Figures read = Figures::Parse(Sample().Json(), "x.json");
  EXPECT_EQ(read.Json(), Sample().Json());
  EXPECT_EQ(read.subject(), "cluster");
  EXPECT_EQ(read.Value("idle"), 0.1 + 0.2);
  EXPECT_FALSE(read.Value("nothing"));
  EXPECT_THAT(Sample().Json(), HasSubstr("\"met\": false"));
}

TEST(Figures, AForeignFileIsRefusedByName) {
  for (const char* text : {"", "{}", R"({"subject": 3, "facts": {}, "figures": []})",
                           R"({"subject": "a", "facts": {}, "figures": [{"name": "x"}]})"}) {
    SCOPED_TRACE(text);
    ExpectFault(Code::kData, "rates.json", [&] { Figures::Parse(text, "rates.json"); });
  }
}

}  // namespace
}  // namespace hullft
