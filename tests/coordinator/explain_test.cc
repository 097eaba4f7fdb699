// Plots, and `hullft select --explain` over a corpus against the run that trains on it.
#include "coordinator/commands/explain.h"

#include <gtest/gtest.h>

#include <sstream>

#include "coordinator/plot.h"
#include "tests/coordinator/run_fixture.h"

namespace hullft::coordinator {
namespace {

std::vector<std::string> LinesOf(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

TEST(Plot, FallsFromTheTopLeftToTheBottomRight) {
  const auto lines = LinesOf(TerminalPlot({"title", {100, 10, 1}}, {"iterations", 0}, 60, 5));
  ASSERT_EQ(lines.size(), 8u);
  EXPECT_EQ(lines[1], "      100 |*");
  EXPECT_EQ(lines[3], "       10 |" + std::string(24, ' ') + "*") << "half way on a logarithmic axis";
  EXPECT_EQ(lines[5], "        1 |" + std::string(48, ' ') + "*");
  for (const std::string& line : lines) EXPECT_LE(line.size(), 60u);
}

TEST(Plot, AnyNumbersAreDrawn) {
  EXPECT_EQ(TerminalPlot({"t", {}}, {}), "");
  for (const std::vector<double>& values :
       {std::vector<double>{0.5}, {0, 0}, {2, 2, 2}, {1e-300, 1e300}, {1, 0}, std::vector<double>(5000, 0.25)}) {
    const std::string text = TerminalPlot({"t", values}, {"x", 0});
    EXPECT_NE(text.find('*'), std::string::npos);
    for (const std::string& line : LinesOf(text)) EXPECT_LE(line.size(), 80u);
    const std::string svg = SvgPlot("a < b & c", {{"t", values}}, {"x", 0});
    EXPECT_NE(svg.find("a &lt; b &amp; c"), std::string::npos);
    EXPECT_EQ(svg.find("nan"), std::string::npos);
    EXPECT_EQ(svg.find("inf"), std::string::npos);
  }
}

TEST_F(RunTest, ExplainsWhatARunTrainsOn) {
  for (const std::string method : {"hullft", "sift", "random"}) {
    RunOn({"a", "b"}, Plan("corpus4", method, {"--method", method, "--guard", "mark"}));
    for (const Row& row : LatestRows(Rows(method))) {
      SelectionFlags flags;
      flags.method = method;
      flags.select.n = 6;
      ASSERT_EQ(flags.FinishSelection(), "");
      ExplainSettings settings;
      settings.explain = true;
      settings.corpus = base_ / "corpus4";
      settings.queries = base_ / "queries.jsonl";
      settings.query_embeddings = base_ / "queries.npy";
      settings.model = base_ / "model";
      settings.guard = "mark";
      settings.query = row.query;
      settings.k = 12;
      settings.margin = 2;
      ASSERT_EQ(settings.Faults(false), "");
      const Explanation e = ExplainFromCorpus(settings, flags, 1);
      ASSERT_EQ(e.sequences.size(), row.ids.size());
      for (size_t i = 0; i < row.ids.size(); ++i) {
        EXPECT_EQ(e.sequences[i].id, row.ids[i]);
        EXPECT_EQ(e.sequences[i].count, row.counts[i]);
        EXPECT_EQ(e.sequences[i].weight, row.weights[i]);
        EXPECT_EQ(e.sequences[i].text, SomeText(row.ids[i]));
      }
      EXPECT_EQ(e.selection.objective, row.objective);
      EXPECT_EQ(e.leak_marked, row.leak_marked);
      EXPECT_NE(ExplanationText(e, 100).find("leakage guard: mark"), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace hullft::coordinator
