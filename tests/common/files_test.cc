#include "common/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>

#include "common/error.h"
#include "common/hash.h"
#include "common/json_read.h"
#include "common/npy.h"
#include "common/stays_inside.h"
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
  const Error error = Caught([&] { FileLock(folder_ / "lock"); });
  EXPECT_EQ(error.code(), Code::kUsage);
  EXPECT_THAT(error.message(), HasSubstr(fmt::format("in use by process {} on ", ::getpid())));
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

TEST_F(FilesTest, NpyHeadersThatLieAreRefused) {
  const auto refusal = [&](const std::string& header, const std::string& data) {
    std::string bytes("\x93NUMPY\x02\x00", 8);
    for (int i = 0; i < 4; ++i) bytes += static_cast<char>(header.size() >> (8 * i) & 0xff);
    WriteFileAtomic(folder_ / "x.npy", bytes + header + data);
    const Error error = Caught([&] { NpyFile(folder_ / "x.npy"); });
    EXPECT_EQ(error.code(), Code::kData) << error.what();
    return error.message();
  };
  const auto shaped = [](const std::string& shape) {
    const std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': " + shape + ", }";
    return header + std::string(127 - header.size(), ' ') + "\n";
  };
  EXPECT_THAT(refusal(shaped("(4611686018427387904,)"), ""), HasSubstr("too large"));  // 2^62 x 4 bytes wrap to 0
  EXPECT_THAT(refusal(shaped("(99999999999999999999,)"), ""), HasSubstr("shape"));
  EXPECT_THAT(refusal(shaped("(-1,)"), ""), HasSubstr("shape"));
  EXPECT_THAT(refusal(shaped("(1 2,)"), "12345678"), HasSubstr("shape"));
  EXPECT_THAT(refusal(shaped("(1,"), "1234"), HasSubstr("tuple"));
  EXPECT_THAT(refusal(shaped("(1,)") + " ", "1234"), HasSubstr("multiple of 4"));
  EXPECT_THAT(refusal("{'descr': '" + std::string(1 << 20, 'x') + "'}", ""), HasSubstr("header of"));
  EXPECT_THAT(refusal("{'descr': '<f8'}", ""), HasSubstr("<f8"));
  EXPECT_THAT(refusal("'descr'", ""), HasSubstr("dtype"));
  EXPECT_THAT(refusal("{}", ""), HasSubstr("descr"));
}

TEST_F(FilesTest, NewFilesAndFoldersFollowTheUmask) {
  const mode_t before = ::umask(027);
  WriteFileAtomic(folder_ / "whole", "x");
  { AppendFile(folder_ / "grown").Append("x"); }
  MakeFolders(folder_ / "a" / "b");
  ::umask(0);
  WriteFileAtomic(folder_ / "open", "x");
  ::umask(before);
  const auto mode = [&](const char* name) { return static_cast<unsigned>(fs::status(folder_ / name).permissions()); };
  EXPECT_EQ(mode("whole"), 0640u);
  EXPECT_EQ(mode("grown"), 0640u);
  EXPECT_EQ(mode("a/b"), 0750u);
  EXPECT_EQ(mode("open"), 0644u);  // others never write, whatever the umask
}

TEST(Json, NestingWithoutEndIsRefused) {
  CheckJsonDepth(R"({"a": "[[[[", "b\\": [")" + std::string(200, '[') + "\"]}", "x.json");
  CheckJsonDepth(std::string(100, '[') + std::string(100, ']') + std::string(100, '{'), "x.json");
  ExpectFault(Code::kData, "x.json", [] { CheckJsonDepth(std::string(101, '['), "x.json"); });
}

TEST(Json, WholeNumbersAreReadExactlyOrNotAtAll) {
  const auto json = nlohmann::json::parse(
      R"({"a": 3, "half": 1.5, "huge": 1e300, "minus": -1, "long": 4294967297, "list": [1, -2], "mixed": [1, 2.5]})");
  EXPECT_EQ(Field<int>(json, "a"), 3);
  EXPECT_EQ(Field<double>(json, "half"), 1.5);
  EXPECT_EQ(Field<std::vector<int>>(json, "list"), (std::vector<int>{1, -2}));
  EXPECT_EQ(Field<int64_t>(json, "long"), 4294967297);
  EXPECT_THROW(Field<int>(json, "half"), nlohmann::json::exception);
  EXPECT_THROW(Field<int64_t>(json, "huge"), nlohmann::json::exception);
  EXPECT_THROW(Field<uint64_t>(json, "minus"), nlohmann::json::exception);
  EXPECT_THROW(Field<int>(json, "long"), nlohmann::json::exception);
  EXPECT_THROW(Field<std::vector<uint64_t>>(json, "list"), nlohmann::json::exception);
  EXPECT_THROW(Field<std::vector<int>>(json, "mixed"), nlohmann::json::exception);
  EXPECT_THROW(Field<int>(json, "missing"), nlohmann::json::exception);
}

TEST(Paths, OfAFileStayInItsFolder) {
  for (const char* inside : {"", "a", "a/b", "..a", "a/..."}) EXPECT_TRUE(StaysInside(inside)) << inside;
  for (const char* outside : {"..", "../a", "a/../b", "/a", "a/.."}) EXPECT_FALSE(StaysInside(outside)) << outside;
}

TEST(HashTest, KnownValueAndFraming) {
  EXPECT_EQ(HashHex(""), "99aa06d3014798d86001c324468d497f");  // XXH3-128 of nothing, xxHash's own test vector
  EXPECT_NE(Hasher().Update("ab").Update("c").Hex(), Hasher().Update("a").Update("bc").Hex());
  EXPECT_EQ(Hasher().UpdateRaw("ab").UpdateRaw("c").Hex(), HashHex("abc"));
}

}  // namespace
}  // namespace hullft
