// The numbers of a page, and the recomputation of them from the journals by a program that shares no code with it.
#include <gmock/gmock.h>

#include "coordinator/page/page.h"
#include "coordinator/study/figures.h"
#include "tests/study/run_folders.h"

namespace hullft::study {
namespace {

class RecomputeTest : public RunFolders {
 protected:
  int Check(const fs::path& page) {
    return std::system(("/usr/bin/python3 " HULLFT_SOURCE_DIR "/tests/study/recompute.py " + page.string()).c_str());
  }
};

TEST_F(RecomputeTest, ThePageSaysWhatTheJournalsSay) {
  std::vector<coordinator::Row> sift = Rows(70, 0.2, 2), hullft = Rows(64, 0.4, 1);
  for (coordinator::Row& row : sift) {
    row.marks = {{5, 5, 5, {row.before.rolling * 0.9 + 0.01, 1, -1, -1}}};
    row.ms.tune_at = {row.ms.tune / 4};
  }
  hullft.push_back(coordinator::FailedRow(3, "ArXiv", "a later failure of a finished query does not count"));
  hullft.push_back(coordinator::FailedRow(69, "ArXiv", "out of memory"));
  std::vector<RunData> runs;
  runs.push_back(LoadRun(Write("hullft", hullft), Definition::kRolling));
  runs.push_back(LoadRun(Write("sift", sift, {{"--method", "sift"}}), Definition::kRolling));
  const Study study = MakeStudy(std::move(runs), Definition::kRolling);
  const fs::path page = base_ / "report.html";
  const std::string html = page::ReportPage(study, MakeFigures(study, 0, 2));
  std::ofstream(page) << html;
  EXPECT_EQ(Check(page), 0);
  // The script finds what is wrong: a row changed after the page was made.
  sift[11].after.rolling *= 1.5;
  Write("sift", sift, {{"--method", "sift"}});
  EXPECT_NE(Check(page), 0);
}

}  // namespace
}  // namespace hullft::study
