// safetensors files: values of every dtype, shards, and damaged or lying files, each of which must be refused with the
// file, the tensor and the field named.
#include "worker/checkpoint/checkpoint.h"

#include <c10/util/Half.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "common/error.h"
#include "tests/caught.h"

namespace hullft::worker {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

std::string File(const std::string& header, const std::string& data) {
  const uint64_t length = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header + data;
}

class CheckpointTest : public testing::Test {
 protected:
  CheckpointTest() {
    std::string name = (fs::temp_directory_path() / "hullft_checkpoint_XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
  }
  ~CheckpointTest() override { fs::remove_all(folder_); }

  void Write(const std::string& name, const std::string& bytes) {
    std::ofstream(folder_ / name, std::ios::binary) << bytes;
  }
  std::string Failure() {
    const Error error = Caught([&] { const Checkpoint checkpoint(folder_); });
    EXPECT_EQ(error.code(), Code::kData);
    return error.message();
  }
  std::string FailureOf(const std::string& header, const std::string& data) {
    Write("model.safetensors", File(header, data));
    return Failure();
  }

  fs::path folder_;
};

constexpr const char* kGood = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                              R"("b":{"dtype":"I64","shape":[],"data_offsets":[8,16]}})";

TEST_F(CheckpointTest, EveryTruncationIsRefused) {
  const std::string whole = File(kGood, std::string(16, 'x'));
  Write("model.safetensors", whole);
  EXPECT_EQ(Checkpoint(folder_).tensors().size(), 2U);
  for (size_t size = 0; size < whole.size(); ++size) {
    Write("model.safetensors", whole.substr(0, size));
    EXPECT_THAT(Failure(), HasSubstr("model.safetensors")) << size;
  }
  Write("model.safetensors", whole + "x");
  EXPECT_THAT(Failure(), HasSubstr("end at byte 16"));
}

TEST_F(CheckpointTest, HeadersThatLieAreRefused) {
  const std::string data(16, 'x');
  const auto entry = [](const std::string& dtype, const std::string& shape, const std::string& offsets) {
    return R"({"a":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
  };
  EXPECT_THAT(FailureOf("[]", data), HasSubstr("not a JSON object"));
  EXPECT_THAT(FailureOf("{nonsense", data), HasSubstr("not JSON"));
  EXPECT_THAT(FailureOf(entry("\"F32\"", "[4]", "[0,24]"), data),
              AllOf(HasSubstr("tensor a"), HasSubstr("data_offsets")));
  EXPECT_THAT(FailureOf(entry("\"F32\"", "[4]", "[8,0]"), data), HasSubstr("data_offsets"));
  EXPECT_THAT(FailureOf(entry("\"F32\"", "[4]", "[-1,15]"), data), HasSubstr("data_offsets"));
  EXPECT_THAT(FailureOf(entry("\"F32\"", "[4]", "[0]"), data), HasSubstr("data_offsets"));
  EXPECT_THAT(FailureOf(entry("\"F32\"", "[5]", "[0,16]"), data), AllOf(HasSubstr("shape [5]"), HasSubstr("20 bytes")));
  EXPECT_THAT(FailureOf(entry("\"F16\"", "[4]", "[0,16]"), data), HasSubstr("shape"));
  EXPECT_THAT(FailureOf(entry("\"F32\"", "[-4]", "[0,16]"), data), HasSubstr("shape"));
  EXPECT_THAT(FailureOf(entry("\"F32\"", "[4611686018427387904,4]", "[0,16]"), data), HasSubstr("too large"));
  EXPECT_THAT(FailureOf(entry("\"U8\"", "[9223372036854775808,0]", "[0,0]"), ""), HasSubstr("shape"));  // 2^63 x 0
  EXPECT_THAT(FailureOf(entry("\"U8\"", "[4611686018427387904,2,0]", "[0,0]"), ""), HasSubstr("too large"));
  EXPECT_THAT(FailureOf(entry("\"F33\"", "[4]", "[0,16]"), data), AllOf(HasSubstr("dtype"), HasSubstr("F33")));
  EXPECT_THAT(FailureOf(entry("7", "[4]", "[0,16]"), data), HasSubstr("dtype"));
  const std::string a = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)";
  EXPECT_THAT(FailureOf(a + R"("b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})", data.substr(0, 12)),
              AllOf(HasSubstr("tensor b"), HasSubstr("inside")));
  EXPECT_THAT(FailureOf(a + R"("b":{"dtype":"F32","shape":[1],"data_offsets":[12,16]}})", data), HasSubstr("hole"));
  EXPECT_THAT(FailureOf(a + R"("a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}})", data), HasSubstr("twice"));
}

TEST_F(CheckpointTest, ValuesOfEachDtype) {
  const uint16_t half[] = {0x3c00, 0xc000, 0x0001}, brain[] = {0x3f80, 0xc000, 0x0001};
  std::string data(12, '\0');
  std::memcpy(data.data(), half, 6);
  std::memcpy(data.data() + 6, brain, 6);
  Write("model.safetensors", File(R"({"h":{"dtype":"F16","shape":[3],"data_offsets":[0,6]},)"
                                  R"("b":{"dtype":"BF16","shape":[3],"data_offsets":[6,12]}})",
                                  data));
  const Checkpoint checkpoint(folder_);
  std::vector<float> out(3);
  CopyAsFloat32("h", checkpoint.tensors().at("h"), out);
  EXPECT_EQ(out, (std::vector<float>{1.0f, -2.0f, 0x1p-24f}));
  CopyAsFloat32("b", checkpoint.tensors().at("b"), out);
  EXPECT_EQ(out, (std::vector<float>{1.0f, -2.0f, 0x1p-133f}));
  Write("model.safetensors", File(kGood, std::string(16, 'x')));
  const Checkpoint other(folder_);
  EXPECT_THROW(CopyAsFloat32("b", other.tensors().at("b"), std::span(out).first(1)), Error);  // I64
}

TEST_F(CheckpointTest, EveryHalfIsReadAsTorchReadsIt) {
  std::string data;
  for (int bits = 0; bits < 65536; ++bits) data += {static_cast<char>(bits & 255), static_cast<char>(bits >> 8)};
  Write("model.safetensors", File(R"({"h":{"dtype":"F16","shape":[65536],"data_offsets":[0,131072]}})", data));
  const Checkpoint checkpoint(folder_);
  std::vector<float> out(65536);
  CopyAsFloat32("h", checkpoint.tensors().at("h"), out);
  for (int bits = 0; bits < 65536; ++bits) {
    const float expected = c10::detail::fp16_ieee_to_fp32_value(static_cast<uint16_t>(bits)), value = out[bits];
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(value)) << bits;
    } else {
      EXPECT_EQ(std::bit_cast<uint32_t>(value), std::bit_cast<uint32_t>(expected)) << bits;
    }
  }
}

TEST_F(CheckpointTest, Shards) {
  EXPECT_THAT(Failure(), HasSubstr("model.safetensors.index.json"));
  const std::string x = R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  const std::string y = R"({"y":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  const auto index = [&](const std::string& map) {
    Write("model.safetensors.index.json", R"({"weight_map":)" + map + "}");
  };
  Write("1.safetensors", File(x, "1234"));
  index(R"({"x":"1.safetensors","y":"2.safetensors"})");
  EXPECT_THAT(Failure(), HasSubstr("shard 2.safetensors is missing"));
  Write("2.safetensors", File(y, "1234"));
  EXPECT_EQ(Checkpoint(folder_).tensors().size(), 2U);
  index(R"({"x":"1.safetensors"})");
  EXPECT_EQ(Checkpoint(folder_).tensors().size(), 1U);  // what the index does not name is not read
  index(R"({"x":"1.safetensors","z":"2.safetensors"})");
  EXPECT_THAT(Failure(), AllOf(HasSubstr("y is in 2.safetensors"), HasSubstr("z is not in 2.safetensors")));
  for (const char* outside : {"../1.safetensors", "/etc/passwd", "a/../../1.safetensors", "..", "."}) {
    index(fmt::format(R"({{"x":"{}"}})", outside));
    EXPECT_THAT(Failure(), HasSubstr("weight_map.x")) << outside;
  }
  index("[]");
  EXPECT_THAT(Failure(), HasSubstr("weight_map"));
}

// Links in a folder that somebody else made: only those of the hub's cache, to its own blobs, lead out of it.
TEST_F(CheckpointTest, ShardsAreNotReadThroughLinksThatLeadOut) {
  const std::string x = R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  const std::string index = R"({"weight_map":{"x":"1.safetensors"}})";
  Write("secret", File(x, "1234"));
  const fs::path base = folder_;
  const auto make = [&](const fs::path& folder, const fs::path& target) {
    folder_ = base / folder;
    fs::create_directories(folder_);
    Write("model.safetensors.index.json", index);
    fs::create_symlink(target, folder_ / "1.safetensors");
  };
  make("model", "../secret");
  EXPECT_THAT(Failure(), HasSubstr("shard 1.safetensors is a link that leads out"));
  make("absolute", base / "secret");
  EXPECT_THAT(Failure(), HasSubstr("shard 1.safetensors is a link that leads out"));
  make("cache/snapshots/main", "../../../secret");
  EXPECT_THAT(Failure(), HasSubstr("leads out"));
  fs::create_directories(base / "cache/blobs");
  fs::rename(base / "secret", base / "cache/blobs/1234");
  make("cache/snapshots/other", "../../blobs/1234");
  EXPECT_EQ(Checkpoint(folder_).tensors().size(), 1U);
  fs::create_directory_symlink(folder_, base / "by_link");
  EXPECT_EQ(Checkpoint(base / "by_link").tensors().size(), 1U) << "the folder itself may be reached by a link";
  make("inside", "other_name");
  Write("other_name", File(x, "1234"));
  EXPECT_EQ(Checkpoint(folder_).tensors().size(), 1U);
  folder_ = base;
}

}  // namespace
}  // namespace hullft::worker
