#include "common/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "common/error.h"
#include "common/hash.h"
#include "common/npy.h"
#include "tests/caught.h"

namespace hullft {
namespace {
namespace fs = std::filesystem;
using ::testing::HasSubstr;

class FilesTest : public ::testing::Test {
 protected:
  FilesTest() : folder_(fs::temp_directory_path() / fs::path("hullft_files_" + std::to_string(::getpid()))) {
    fs::create_directories(folder_);
  }
  ~FilesTest() override { fs::remove_all(folder_); }
  fs::path folder_;
};

TEST_F(FilesTest, WriteAtomicReplacesAndLeavesNoTemporary) {
  WriteFileAtomic(folder_ / "a", "one");
  WriteFileAtomic(folder_ / "a", "two");
  EXPECT_EQ(ReadFile(folder_ / "a"), "two");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1);
}

TEST_F(FilesTest, AFullDiskIsAnErrorThatSaysWhatToDo) {
  AppendFile full("/dev/full");
  const Error error = Caught([&] { full.Append("x"); });
  EXPECT_EQ(error.code(), Code::kIo);
  EXPECT_THAT(error.hint(), HasSubstr("space"));
}

TEST_F(FilesTest, MissingFileNamesItself) {
  ExpectFault(Code::kIo, "missing", [&] { ReadFile(folder_ / "missing"); });
}

TEST_F(FilesTest, LockIsExclusive) {
  const FileLock first(folder_ / "lock");
  EXPECT_THROW(FileLock(folder_ / "lock"), Error);
}

TEST_F(FilesTest, NpyRoundTripsAndRefusesDamage) {
  const float values[6] = {0, 1, 2, 3, 4, -5};
  const int64_t shape[2] = {2, 3};
  WriteNpy(folder_ / "x.npy", shape, values);
  const NpyFile file(folder_ / "x.npy");
  EXPECT_EQ(file.shape(), (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(file.values()[5], -5);
  std::string bytes = ReadFile(folder_ / "x.npy");
  EXPECT_EQ((bytes.size() - sizeof values) % 64, 0u);
  WriteFileAtomic(folder_ / "short.npy", bytes.substr(0, bytes.size() - 1));
  EXPECT_THROW(NpyFile(folder_ / "short.npy"), Error);
  bytes.replace(bytes.find("<f4"), 3, "<f8");
  WriteFileAtomic(folder_ / "wide.npy", bytes);
  EXPECT_THROW(NpyFile(folder_ / "wide.npy"), Error);
}

TEST(HashTest, KnownValueAndFraming) {
  EXPECT_EQ(HashHex(""), "99aa06d3014798d86001c324468d497f");  // XXH3-128 of nothing, xxHash's own test vector
  EXPECT_NE(Hasher().Update("ab").Update("c").Hex(), Hasher().Update("a").Update("bc").Hex());
  EXPECT_EQ(Hasher().UpdateRaw("ab").UpdateRaw("c").Hex(), HashHex("abc"));
}

}  // namespace
}  // namespace hullft
