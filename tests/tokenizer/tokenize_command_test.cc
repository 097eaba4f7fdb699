// `hullft tokenize` as a person runs it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <filesystem>
#include <string>

#include "common/files.h"

namespace {
namespace fs = std::filesystem;
using ::testing::HasSubstr;

struct Outcome {
  std::string output, errors;
  int status = -1;
};

class TokenizeCommandTest : public ::testing::Test {
 protected:
  TokenizeCommandTest() : folder_(fs::temp_directory_path() / ("hullft_tokenize_" + std::to_string(::getpid()))) {
    fs::create_directories(folder_);
    fs::copy_file(HULLFT_GOLDENS "/tokenizers/bert_uncased_2000.tokenizer.json", folder_ / "tokenizer.json",
                  fs::copy_options::overwrite_existing);
  }
  ~TokenizeCommandTest() override { fs::remove_all(folder_); }

  Outcome Run(const std::string& flags, const std::string& input) {
    hullft::WriteFileAtomic(folder_ / "input", input);
    const std::string command = std::string("'") + HULLFT_BINARY + "' tokenize " + flags + " < '" +
                                (folder_ / "input").string() + "' 2> '" + (folder_ / "errors").string() + "'";
    Outcome outcome;
    FILE* pipe = ::popen(command.c_str(), "r");
    if (pipe == nullptr) return outcome;
    char buffer[4096];
    for (size_t n = 0; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) outcome.output.append(buffer, n);
    outcome.status = WEXITSTATUS(::pclose(pipe));
    outcome.errors = hullft::ReadFile(folder_ / "errors");
    return outcome;
  }
  std::string Model() const { return "--model '" + folder_.string() + "'"; }
  fs::path folder_;
};

TEST_F(TokenizeCommandTest, ThereAndBack) {
  const Outcome plain = Run(Model() + " --no-special", "The file.");
  EXPECT_EQ(plain.status, 0) << plain.errors;
  EXPECT_THAT(plain.output, ::testing::StartsWith("{\"ids\":["));
  const Outcome special = Run(Model(), "The file.");
  EXPECT_THAT(special.output, ::testing::StartsWith("{\"ids\":[2,"));  // [CLS]
  EXPECT_THAT(special.output, ::testing::EndsWith(",3]}\n"));          // [SEP]
  EXPECT_EQ(Run(Model() + " --decode", plain.output).output, "the file.");
  EXPECT_EQ(Run(Model() + " --decode --json", plain.output).output, "{\"text\":\"the file.\"}\n");
  EXPECT_EQ(Run(Model() + " --decode", "[2, 3]").output, "[CLS] [SEP]");
}

TEST_F(TokenizeCommandTest, BadInputHasItsExitStatusAndPrintsNoResult) {
  const auto fails = [&](const std::string& flags, const std::string& input, int status, const std::string& part) {
    const Outcome outcome = Run(flags, input);
    EXPECT_EQ(outcome.status, status) << outcome.errors;
    EXPECT_THAT(outcome.errors, HasSubstr(part));
    EXPECT_EQ(outcome.output, "");
  };
  fails(Model(), "caf\xE9", 1, "not valid UTF-8 at byte 3");
  fails(Model() + " --decode", "[1, 2", 1, "not JSON");
  fails(Model() + " --decode", "[1, -2]", 1, "ids[1]");
  fails(Model() + " --decode", "[1, 99999]", 1, "99999");
  fails("--model '" + folder_.string() + "/none'", "x", 1, "none");
  fails("--modell x", "x", 2, "--model");
  fails("", "x", 2, "--model");
}

}  // namespace
