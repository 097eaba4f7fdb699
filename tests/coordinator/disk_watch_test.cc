// The disk's free bytes come from a file here (common/test_faults.h).
#include "coordinator/disk_watch.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "common/files.h"

namespace hullft::coordinator {
namespace {
namespace fs = std::filesystem;

TEST(DiskWatch, WaitsBelowTheReserveUntilAQuarterMoreIsFree) {
  const fs::path file = fs::path(::testing::TempDir()) / ("free" + std::to_string(::getpid()));
  const auto free_bytes = [&](int64_t bytes) { WriteFileAtomic(file, std::to_string(bytes) + "\n"); };
  free_bytes(2000);
  ASSERT_EQ(::setenv("HULLFT_TEST_DISK", file.c_str(), 1), 0);
  DiskWatch disk(::testing::TempDir(), 1000), never(::testing::TempDir(), 0);
  EXPECT_FALSE(disk.Full(0));
  free_bytes(999);
  EXPECT_FALSE(disk.Full(0.5)) << "it looks once a second";
  EXPECT_TRUE(disk.Full(1));
  EXPECT_FALSE(never.Full(1));
  free_bytes(1200);
  EXPECT_TRUE(disk.Full(2));
  free_bytes(1250);
  EXPECT_FALSE(disk.Full(3));
  ASSERT_EQ(::unsetenv("HULLFT_TEST_DISK"), 0);
  EXPECT_FALSE(DiskWatch(::testing::TempDir(), 1).Full(0)) << "the disk itself";
  fs::remove(file);
}

}  // namespace
}  // namespace hullft::coordinator
