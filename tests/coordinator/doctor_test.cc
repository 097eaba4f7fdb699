// hullft doctor, and what it is there to show.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

namespace hullft {
namespace {

std::string Output(const std::string& command) {
  FILE* pipe = ::popen(command.c_str(), "r");
  std::string text;
  std::array<char, 4096> buffer;
  for (size_t n = 0; (n = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) text.append(buffer.data(), n);
  EXPECT_EQ(::pclose(pipe), 0);
  return text;
}

// A bug that once was: OpenBLAS before LibTorch on the link line took every matrix product, four times slower.
TEST(Doctor, MatrixProductsComeFromLibTorchsBlas) {
  const auto facts =
      nlohmann::json::parse(Output(std::string(HULLFT_BINARY) + " doctor --json --output " + ::testing::TempDir()));
  EXPECT_EQ(facts.at("sgemm from"), "libtorch_cpu.so");
  EXPECT_NE(facts.at("BLAS").get<std::string>().find("Math Kernel Library"), std::string::npos);
  EXPECT_FALSE(facts.at("memory").get<std::string>().empty());
}

}  // namespace
}  // namespace hullft
