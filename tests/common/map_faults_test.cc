// A mapped file that is cut while it is read, in a child process that this ends.
#include "common/map_faults.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "common/error.h"
#include "common/files.h"

namespace hullft {
namespace {
namespace fs = std::filesystem;

class MapFaults : public ::testing::Test {
 protected:
  MapFaults() : file_(fs::temp_directory_path() / ("hullft_cut_" + std::to_string(::getpid()) + ".npy")) {
    WriteFileAtomic(file_, std::string(size_t{1} << 20, 'x'));
  }
  ~MapFaults() override { fs::remove(file_); }
  // Reads where the file is no longer. The last byte, so that the kernel's reading ahead does not matter.
  void ReadPastTheCut(const MappedFile& map) {
    fs::resize_file(file_, 0);
    const volatile std::byte* last = &map.bytes().back();
    std::byte seen = *last;
    (void)seen;
  }
  const fs::path file_;
};
using MapFaultsDeathTest = MapFaults;

TEST_F(MapFaultsDeathTest, ACutFileIsNamedWithHostAndRank) {
  EXPECT_EXIT(
      {
        InstallMapFaultHandler("hullft: rank 3 on host n7");
        const MappedFile map(file_);
        ReadPastTheCut(map);
      },
      ::testing::ExitedWithCode(ExitStatus(Code::kIo)), "hullft: rank 3 on host n7: .*hullft_cut_.*npy cannot be read");
}

TEST_F(MapFaultsDeathTest, AMapThatWasMovedKeepsItsName) {
  EXPECT_EXIT(
      {
        InstallMapFaultHandler("hullft");
        MappedFile first(file_);
        const MappedFile map = std::move(first);
        ReadPastTheCut(map);
      },
      ::testing::ExitedWithCode(ExitStatus(Code::kIo)), "hullft_cut_");
}

TEST_F(MapFaultsDeathTest, AnyOtherBusErrorEndsTheProcessAsEver) {
  EXPECT_EXIT(
      {
        InstallMapFaultHandler("hullft: host n1");
        const MappedFile map(file_);
        ForgetMap(map.bytes().data());
        ReadPastTheCut(map);
      },
      ::testing::KilledBySignal(SIGBUS), "hullft: host n1: bus error");
}

TEST_F(MapFaults, MoreMapsThanNamesAreMapsAllTheSame) {
  std::vector<MappedFile> maps;
  for (int i = 0; i < 1100; ++i) maps.emplace_back(file_);
  for (const MappedFile& map : maps) EXPECT_EQ(map.bytes().front(), std::byte{'x'});
}

}  // namespace
}  // namespace hullft
