// Every checked-in input of the fuzz targets, and every one that fuzzing found, through the same functions.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "common/files.h"
#include "tests/fuzz/targets.h"

namespace hullft::fuzz {
namespace {
namespace fs = std::filesystem;

class Replay : public testing::TestWithParam<Target> {};

TEST_P(Replay, EveryInputIsReadOrRefused) {
  std::vector<fs::path> inputs;
  for (const auto& entry : fs::directory_iterator(fs::path(HULLFT_SOURCE_DIR "/tests/fuzz/corpus") / GetParam().name))
    inputs.push_back(entry.path());
  std::sort(inputs.begin(), inputs.end());
  ASSERT_FALSE(inputs.empty());
  for (const fs::path& input : inputs) {
    const std::string bytes = ReadFile(input);
    EXPECT_NO_THROW(GetParam().run(bytes)) << input;
    EXPECT_NO_THROW(GetParam().run(std::string_view(bytes).substr(0, bytes.size() / 2))) << "half of " << input;
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, Replay, testing::ValuesIn(kTargets),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace hullft::fuzz
