// The options' configuration file: what is accepted is printed so that it reads back as the same settings.
#include "common/options.h"
#include "tests/fuzz/targets.h"

namespace hullft::fuzz {
namespace {

struct Settings {
  bool flag = false;
  int small = 5;
  int64_t large = 7;
  double rate = 0.5;
  std::string word, method = "one";
  std::vector<std::string> list;
};

// The settings that the file gives, as they are printed; "" when the file is refused.
std::string Read(const std::filesystem::path& file) {
  Settings s;
  OptionTable table("hullft fuzz", "Reads a configuration.");
  table.Add("flag", &s.flag, "a flag");
  table.Add("small", &s.small, "an int").Range(-10, 1000);
  table.Add("large", &s.large, "an int64");
  table.Add("rate", &s.rate, "a number");
  table.Add("word", &s.word, "text");
  table.Add("method", &s.method, "a choice").OneOf({"one", "another"});
  table.Add("list", &s.list, "texts");
  if (!Accepted([&] { table.Parse({"--config", file.string()}); })) return "";
  Require(s.small >= -10 && s.small <= 1000, "a range is kept");
  return table.ConfigText();
}

}  // namespace

void Config(std::string_view input) {
  const std::string text = Read(InFile("config", input));
  if (!text.empty()) Require(Read(InFile("printed", text)) == text, "printed settings read back");
}

}  // namespace hullft::fuzz
