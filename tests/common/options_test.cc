#include "common/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "common/error.h"
#include "tests/caught.h"

namespace hullft {
namespace {
using ::testing::HasSubstr;

struct Fixture {
  int n = 20;
  double lr = 5e-5;
  std::string model, method = "hullft", text;
  bool json = false, bar = true;
  std::vector<std::string> input;
  OptionTable table{"hullft test", "Tests."};
  Fixture() {
    table.Add("n", &n, "size").Range(1, 1000);
    table.Add("lr", &lr, "rate");
    table.Add("model", &model, "folder").Required();
    table.Add("method", &method, "how").OneOf({"hullft", "knn"});
    table.Add("json", &json, "as JSON").NotPartOfResult();
    table.Add("bar", &bar, "progress").NotPartOfResult();
    table.Add("input", &input, "files");
    table.AddPositional("text", &text, "what");
  }
  std::string Fault(std::vector<std::string> args) {
    const Error error = Caught([&] { table.Parse(args); });
    EXPECT_EQ(error.code(), Code::kUsage);
    return error.message();
  }
};

TEST(Options, ParsesEveryKind) {
  Fixture f;
  EXPECT_FALSE(f.table.Parse(
      {"--model", "m", "--n=3", "--json", "a text", "--no-bar", "--input", "a", "--input", "b", "--lr", "-1e-3"}));
  EXPECT_EQ(f.n, 3);
  EXPECT_EQ(f.lr, -1e-3);
  EXPECT_TRUE(f.json);
  EXPECT_FALSE(f.bar);
  EXPECT_EQ(f.text, "a text");
  EXPECT_EQ(f.input, (std::vector<std::string>{"a", "b"}));
}

TEST(Options, AnUnknownFlagNamesTheNearest) {
  EXPECT_THAT(Fixture().Fault({"--model", "m", "--modle", "x"}), HasSubstr("did you mean --model?"));
  EXPECT_THAT(Fixture().Fault({"--model", "m", "--jsn"}), HasSubstr("did you mean --json?"));
}

TEST(Options, ListsAllFaultsAtOnce) {
  const std::string fault = Fixture().Fault({"--n", "0", "--method", "hulft", "--lr", "fast"});
  EXPECT_THAT(fault, HasSubstr("--n: '0' is outside 1 to 1000"));
  EXPECT_THAT(fault, HasSubstr("did you mean 'hullft'?"));
  EXPECT_THAT(fault, HasSubstr("--lr: 'fast' is not a valid number"));
  EXPECT_THAT(fault, HasSubstr("missing --model"));
}

TEST(Options, FlagsWinOverTheFile) {
  const std::string path = ::testing::TempDir() + "/options.cfg";
  std::ofstream(path) << "# comment\nmodel = m\nn = 7\nlr = 1e-4\n";
  Fixture f;
  EXPECT_FALSE(f.table.Parse({"--n", "9", "--config", path}));
  EXPECT_EQ(f.n, 9);
  EXPECT_EQ(f.lr, 1e-4);
  EXPECT_EQ(f.model, "m");
}

TEST(Options, AConfigurationThatIsAFolderIsAnError) {
  Fixture f;
  ExpectFault(Code::kData, "folder", [&] { f.table.Parse({"--model", "m", "--config", ::testing::TempDir()}); });
}

TEST(Options, ConfigTextRoundTrips) {
  Fixture f;
  f.table.Parse({"--model", "m", "--n", "5", "--json"});
  const std::string path = ::testing::TempDir() + "/round.cfg";
  std::ofstream(path) << f.table.ConfigText();
  Fixture g;
  g.table.Parse({"--config", path});
  EXPECT_EQ(g.table.ConfigText(), f.table.ConfigText());
}

TEST(Options, ListsHaveALineForEachValueAndAreReplacedByFlags) {
  const auto parse = [](const std::vector<std::string>& args, std::string* printed = nullptr) {
    std::vector<std::string> list = {"default"};
    OptionTable table("hullft list", "Takes a list.");
    table.Add("list", &list, "texts");
    table.Parse(args);
    if (printed != nullptr) *printed = table.ConfigText();
    return list;
  };
  const std::string path = ::testing::TempDir() + "/list.cfg";
  const auto list = std::vector<std::string>{"", "two words", "x"};
  std::string printed;
  std::ofstream(path) << "list =\nlist = two words\nlist = x\n";
  EXPECT_EQ(parse({"--config", path}, &printed), list);
  std::ofstream(path) << printed;
  EXPECT_EQ(parse({"--config", path}), list);
  EXPECT_EQ(parse({"--config", path, "--list", "y"}), std::vector<std::string>{"y"});
}

TEST(Options, FingerprintHoldsOnlyWhatChangesResults) {
  Fixture f, g;
  f.table.Parse({"--model", "m", "--json"});
  g.table.Parse({"--model", "m"});
  EXPECT_EQ(f.table.Fingerprint(), g.table.Fingerprint());
  Fixture h;
  h.table.Parse({"--model", "m", "--n", "21"});
  EXPECT_NE(h.table.Fingerprint(), g.table.Fingerprint());
}

}  // namespace
}  // namespace hullft
