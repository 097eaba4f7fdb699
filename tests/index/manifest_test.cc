// Manifests with the right checksum that say what cannot be: whoever can write the file can also hash it.
#include "index/manifest.h"

#include <gtest/gtest.h>

#include "common/files.h"
#include "common/hash.h"
#include "tests/caught.h"

namespace hullft::index {
namespace {
namespace fs = std::filesystem;
using nlohmann::json;

class ManifestTest : public ::testing::Test {
 protected:
  ManifestTest() : folder_(fs::temp_directory_path() / ("hullft_manifest_" + std::to_string(::getpid()))) {
    MakeFolders(folder_);
    PartitionManifest manifest;
    manifest.info.sequences = 3;
    manifest.dim = 4;
    manifest.files = {{"store/1.sst", 5, "abc"}};
    WriteManifest(folder_, manifest);
  }
  ~ManifestTest() override { fs::remove_all(folder_); }

  // Reads the manifest after a change of the value at a place, with the checksum that fits.
  PartitionManifest ReadChanged(const char* place, const json& value) {
    json manifest = json::parse(ReadFile(folder_ / "manifest.json"));
    manifest.erase("checksum");
    manifest[json::json_pointer(place)] = value;
    manifest["checksum"] = HashHex(manifest.dump(1) + "\n");
    WriteFileAtomic(folder_ / "manifest.json", manifest.dump(1) + "\n");
    return ReadPartitionManifest(folder_);
  }
  fs::path folder_;
};

TEST_F(ManifestTest, FilesOfOtherFoldersAreRefused) {
  EXPECT_EQ(ReadChanged("/files/0/path", "store/2.sst").files[0].path, "store/2.sst");
  for (const char* path : {"", "..", "../x", "store/../../x", "/etc/passwd"})
    ExpectFault(Code::kData, "no file of its folder", [&] { ReadChanged("/files/0/path", path); });
}

TEST_F(ManifestTest, NumbersThatCannotBeAreRefused) {
  EXPECT_EQ(ReadChanged("/dim", 384).dim, 384);
  for (const json& number : {json(1.5), json(1e300), json(int64_t{1} << 40), json("4"), json(), json(0), json(-4)})
    ExpectFault(Code::kData, "dim", [&] { ReadChanged("/dim", number); });
}

TEST_F(ManifestTest, NestingWithoutEndIsRefused) {
  WriteFileAtomic(folder_ / "manifest.json", "{\"a\": " + std::string(1 << 20, '['));
  ExpectFault(Code::kData, "nested", [&] { ReadPartitionManifest(folder_); });
}

}  // namespace
}  // namespace hullft::index
