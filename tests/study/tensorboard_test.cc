// Event files, read back by a program that shares no code with them.
#include "coordinator/study/tensorboard.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <array>
#include <cstdio>

#include "common/files.h"
#include "tests/study/run_folders.h"

namespace hullft::study {
namespace {
using ::testing::HasSubstr;
using ::testing::StartsWith;

class TensorboardTest : public RunFolders {
 protected:
  static std::string Read(const fs::path& file, int* status) {
    const std::string command =
        "/usr/bin/python3 " HULLFT_SOURCE_DIR "/tests/study/read_events.py " + file.string() + " 2>&1";
    FILE* pipe = ::popen(command.c_str(), "r");
    std::string text;
    std::array<char, 4096> part{};
    for (size_t got; (got = std::fread(part.data(), 1, part.size(), pipe)) > 0;) text.append(part.data(), got);
    *status = ::pclose(pipe);
    return text;
  }
};

TEST_F(TensorboardTest, AnIndependentReaderFindsEveryScalar) {
  const fs::path file = base_ / "events";
  const std::string long_tag(300, 'x');  // a length of two bytes
  const std::string bytes = EventFile({{"percent/all", 20, 61.5}, {long_tag, 1'000'000'000'000, -0.25}}, 1.75e9);
  std::ofstream(file) << bytes;
  int status = 0;
  EXPECT_EQ(Read(file, &status), "percent/all\t20\t61.5\n" + long_tag + "\t1000000000000\t-0.25\n");
  EXPECT_EQ(status, 0);
  std::string damaged = bytes;
  damaged[bytes.size() - 10] ^= 1;
  std::ofstream(file) << damaged;
  EXPECT_THAT(Read(file, &status), HasSubstr("checksum"));
  EXPECT_NE(status, 0);
}

TEST_F(TensorboardTest, ChecksumIsTheStandards) {  // RFC 3720, appendix B.4
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8a9136aaU);
  EXPECT_EQ(Crc32c(std::string(32, '\xff')), 0x62a8ab43U);
}

TEST_F(TensorboardTest, AFolderASeriesWithEveryN) {
  std::vector<coordinator::Row> rows = Rows(12, 0.4, 1);
  for (coordinator::Row& row : rows) row.marks = {{5, 5, 5, {row.before.rolling * 0.9, 1, -1, -1}}};
  std::vector<RunData> runs;
  runs.push_back(LoadRun(Write("a", rows), Definition::kRolling));
  runs.push_back(LoadRun(Write("b", Rows(12, 0.2, 2), {{"--method", "../<sift>"}}), Definition::kRolling));
  const Study study = MakeStudy(std::move(runs), Definition::kRolling);
  const Figures figures = MakeFigures(study, 0, 1);
  WriteEventFiles(base_ / "board", study, figures, 1.75e9);
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(base_ / "board")) names.push_back(entry.path().filename().string());
  EXPECT_THAT(names, ::testing::UnorderedElementsAre("hullft", StartsWith("_")));
  int status = 0;
  const std::string text = Read(base_ / "board/hullft/events.out.tfevents.1750000000.hullft", &status);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(std::ranges::count(text, '\n'), 2 * 3 * 3);  // N = 5 and 20, three subsets, three numbers
  const CellFigure& figure = figures.subsets.back().cells.front();
  EXPECT_THAT(
      text,
      HasSubstr(
          fmt::format("percent_of_untuned/all\t{}\t{:.5g}", study.cells[figure.cell].n, figure.percent).substr(0, 28)));
}

}  // namespace
}  // namespace hullft::study
