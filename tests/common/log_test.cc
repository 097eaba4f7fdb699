#include "common/log.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "common/files.h"
#include "common/log_file.h"

namespace hullft {
namespace {
namespace fs = std::filesystem;

TEST(LogFile, RotatesAndKeepsTheNewest) {
  const fs::path folder = fs::path(::testing::TempDir()) / ("log" + std::to_string(::getpid()));
  fs::create_directories(folder);
  InitLogging("error");  // nothing below on standard error; the file takes what the logger takes
  spdlog::set_level(spdlog::level::info);
  {
    const LogFile file(folder / "log.txt", 2000);
    for (int i = 0; i < 200; ++i) spdlog::info("line {}", i);
  }
  spdlog::info("not in the file");
  int64_t files = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    ++files;
    EXPECT_LE(entry.file_size(), 2000u) << entry.path();
  }
  EXPECT_EQ(files, LogFile::kFiles);
  const std::string newest = ReadFile(folder / "log.txt"), older = ReadFile(folder / "log.txt.1");
  EXPECT_NE(newest.find("line 199\n"), std::string::npos);
  EXPECT_EQ(newest.find("not in the file"), std::string::npos);
  EXPECT_NE(older.find("line 1"), std::string::npos);
  fs::remove_all(folder);
}

TEST(LogFile, WhatAFileSaysMakesNoLineOfItsOwnAndMovesNoCursor) {
  const fs::path file = fs::path(::testing::TempDir()) / ("log_of_escapes" + std::to_string(::getpid()));
  InitLogging("error");
  spdlog::set_level(spdlog::level::info);
  {
    const LogFile log(file, 100000);
    spdlog::info("subset {}", "a\x1b[2J\n2026-01-01 00:00:00.000 error all is lost");
  }
  const std::string text = ReadFile(file);
  EXPECT_NE(text.find("subset a\\x1b[2J\n  2026-01-01"), std::string::npos) << text;
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  fs::remove(file);
}

}  // namespace
}  // namespace hullft
