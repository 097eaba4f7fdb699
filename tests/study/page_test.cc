#include "coordinator/page/page.h"

#include <gmock/gmock.h>

#include <regex>

#include "coordinator/study/table.h"
#include "tests/study/run_folders.h"

namespace hullft::page {
namespace {
using coordinator::Row;

class PageTest : public study::RunFolders {
 protected:
  static std::string PageOf(const std::vector<std::filesystem::path>& folders) {
    std::vector<study::RunData> runs;
    for (const auto& folder : folders) runs.push_back(study::LoadRun(folder, study::Definition::kRolling));
    const study::Study study = study::MakeStudy(std::move(runs), study::Definition::kRolling);
    return ReportPage(study, study::MakeFigures(study, 0, 1));
  }
};

// Pages are too long for a matcher's message.
bool Has(const std::string& page, const std::string& text) {
  return page.find(text) != std::string::npos;
}

// Every element that is opened is closed, in order: what a lenient reader would hide.
void ExpectBalanced(const std::string& html) {
  static const std::regex tag("<(/?)([a-z0-9]+)[^>]*?(/?)>");
  std::vector<std::string> open;
  for (std::sregex_iterator it(html.begin(), html.end(), tag), end; it != end; ++it) {
    const std::string name = (*it)[2];
    if (name == "meta" || (*it)[3] == "/") continue;
    if ((*it)[1] == "") {
      open.push_back(name);
      continue;
    }
    ASSERT_FALSE(open.empty()) << "</" << name << ">";
    ASSERT_EQ(open.back(), name) << "at byte " << it->position();
    open.pop_back();
  }
  EXPECT_TRUE(open.empty());
}

TEST_F(PageTest, HasEverythingAndLoadsNothing) {
  const std::string page = PageOf({Write("a", Rows(60, 0.4, 1)), Write("b", Rows(60, 0.2, 2), {{"--method", "sift"}})});
  ExpectBalanced(page);
  for (const char* id : {"headline", "quality", "curves", "queries", "reconstruction", "histograms", "stages",
                         "workers", "provenance", "figures"})
    EXPECT_TRUE(Has(page, std::string("id=\"") + id + "\""));
  EXPECT_TRUE(Has(page, "prefers-color-scheme: dark"));
  EXPECT_TRUE(Has(page, "@media print"));
  for (const char* outside : {"http://", "https://", "src=", "@import", "url("})
    EXPECT_FALSE(Has(page, outside)) << outside;
  EXPECT_FALSE(Has(page, ">nan") || Has(page, "\"nan"));
  // Each figure says in words what it shows.
  size_t pictures = 0, described = 0;
  for (size_t at = 0; (at = page.find("role=\"img\"", at)) != std::string::npos; ++at) ++pictures;
  for (size_t at = 0; (at = page.find("role=\"img\" aria-label=\"", at)) != std::string::npos; ++at) ++described;
  EXPECT_GT(pictures, 8u);
  EXPECT_EQ(pictures, described);
}

// Subsets, hosts, reasons and folder names come from files: they must stay texts.
TEST_F(PageTest, HostileTextsStayTexts) {
  const std::string hostile = "</script><script>alert(1)</script>\"' onload=\"alert(2)";
  std::vector<Row> rows = Rows(9, 0.4, 1);
  for (Row& row : rows) row.subset = hostile, row.host = hostile;
  rows.push_back(coordinator::FailedRow(99, hostile, hostile));
  const std::string page =
      PageOf({Write("a'\"><img onerror=x", rows, {{"--method", hostile}, {hostile, hostile}}), Write("b", rows)});
  ExpectBalanced(page);
  EXPECT_FALSE(Has(page, "<script>"));
  EXPECT_FALSE(Has(page, "<img"));
  EXPECT_FALSE(Has(page, "onload=\""));
  size_t scripts = 0;
  for (size_t at = 0; (at = page.find("</script", at)) != std::string::npos; ++at) ++scripts;
  EXPECT_EQ(scripts, 1u);  // the end of the numbers
  EXPECT_TRUE(Has(page, "&lt;script&gt;alert(1)"));
}

TEST_F(PageTest, ManyQueriesAreThinnedAndSaidToBe) {
  const std::string page = PageOf({Write("a", Rows(20000, 0.4, 1))});
  EXPECT_LT(page.size(), 1'000'000u);
  EXPECT_TRUE(Has(page, "2000 of 20000 shown"));
}

TEST_F(PageTest, OneQuery) {
  const std::string page = PageOf({Write("a", Rows(1, 0.4, 1))});
  ExpectBalanced(page);
  EXPECT_TRUE(Has(page, "few queries"));
}

}  // namespace
}  // namespace hullft::page
