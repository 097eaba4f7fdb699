// The words of a command line and the lines of a config file, into the targets of an option table.
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <cstdio>
#include <sstream>

#include "common/error.h"
#include "common/files.h"
#include "common/option_number.h"
#include "common/options.h"

namespace hullft {
namespace {
namespace po = boost::program_options;

std::string Trim(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

std::string DidYouMean(const std::string& before, const std::string& nearest, const std::string& after) {
  return nearest.empty() ? "" : "; did you mean " + before + nearest + after + "?";
}

}  // namespace

// One call of OptionTable::Parse: every fault is collected, so that all can be said at once.
class OptionTable::Parser {
 public:
  explicit Parser(OptionTable& table) : table_(table) {}
  bool Run(const std::vector<std::string>& args);

 private:
  po::parsed_options Split(const std::vector<std::string>& args);
  bool Serve(const po::parsed_options& words) const;
  void ApplyFile(const std::string& path);
  void ApplyPositional(const std::string& value);
  void ApplyOption(const po::option& word);
  void Set(Option& option, const std::string& text, const std::string& origin);
  void CheckRequired();

  OptionTable& table_;
  std::vector<std::string> faults_;
  std::vector<const Option*> seen_;
  size_t position_ = 0;         // of the next word without dashes
  bool after_unknown_ = false;  // the next such word may be an unknown option's value
};

bool OptionTable::Parse(const std::vector<std::string>& args) {
  return Parser(*this).Run(args);
}

bool OptionTable::Parser::Run(const std::vector<std::string>& args) {
  const po::parsed_options words = Split(args);
  if (Serve(words)) return true;
  bool print_config = false;
  for (const po::option& word : words.options) {
    if (word.string_key == "print-config") print_config = true;
    if (word.string_key == "config" && !word.unregistered) ApplyFile(word.value.at(0));
  }
  for (Option& option : table_.options_) option.list_begins_ = true;  // flags win over the file's lists as well
  for (const po::option& word : words.options) {
    if (word.string_key == "config" || word.string_key == "print-config") continue;
    if (word.position_key >= 0 && word.string_key.empty()) {
      ApplyPositional(word.value.at(0));
    } else {
      ApplyOption(word);
    }
  }
  if (!print_config) CheckRequired();
  if (!faults_.empty()) {
    throw Error(Code::kUsage, fmt::format("{}: {}", table_.command_, fmt::join(faults_, "\n  ")),
                table_.command_ + " --help lists the options");
  }
  if (print_config) std::fputs(table_.ConfigText().c_str(), stdout);
  return print_config;
}

// Boost splits the words; names, values and ranges are checked here so that every fault can name what was meant.
po::parsed_options OptionTable::Parser::Split(const std::vector<std::string>& args) {
  po::options_description description;
  for (const Option& option : table_.options_) {
    if (option.is_flag_) {
      description.add_options()(option.name_.c_str(), po::value<std::string>()->implicit_value("true"), "");
      description.add_options()(("no-" + option.name_).c_str(), "");
    } else {
      description.add_options()(option.name_.c_str(), po::value<std::string>(), "");
    }
  }
  description.add_options()("help,h", "")("print-config", "")("completion", "")("markdown", "")(
      "config", po::value<std::string>(), "");
  // A flag's implicit value must be adjacent (--name=false), or a positional after it would be eaten.
  std::vector<std::string> words = args;
  for (std::string& word : words) {
    if (word.size() <= 2 || !word.starts_with("--") || word.find('=') != std::string::npos) continue;
    const Option* option = table_.Find(word.substr(2));
    if (option != nullptr && option->is_flag_) word += "=true";
  }
  namespace style = po::command_line_style;
  try {
    const auto parsed = po::command_line_parser(words)
                            .options(description)
                            .style(style::allow_long | style::allow_short | style::allow_dash_for_short |
                                   style::short_allow_next | style::long_allow_next | style::long_allow_adjacent)
                            .allow_unregistered()
                            .run();
    po::parsed_options split(nullptr);  // the description ends here
    split.options = parsed.options;
    return split;
  } catch (const po::error& error) {
    throw Error(Code::kUsage, fmt::format("{}: {}", table_.command_, error.what()),
                table_.command_ + " --help lists the options");
  }
}

// What the table tells about itself, if that is asked for.
bool OptionTable::Parser::Serve(const po::parsed_options& words) const {
  for (const po::option& word : words.options) {
    if (word.string_key == "help") {
      std::fputs(table_.Help().c_str(), stdout);
    } else if (word.string_key == "markdown") {
      std::fputs(table_.Markdown().c_str(), stdout);
    } else if (word.string_key == "completion") {
      for (const Option& option : table_.options_) {
        if (!option.is_positional_) fmt::print("--{}\n", option.name_);
      }
    } else {
      continue;
    }
    return true;
  }
  return false;
}

void OptionTable::Parser::ApplyFile(const std::string& path) {
  std::istringstream file(ReadFileOrStream(path));
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    line = Trim(line);
    if (line.empty() || line[0] == '#') continue;
    const size_t equals = line.find('=');
    const std::string key = Trim(line.substr(0, equals));
    Option* option = table_.Find(key);
    const std::string origin = fmt::format("{}:{}: {}", path, number, key);
    if (equals == std::string::npos) {
      faults_.push_back(fmt::format("{}:{}: expected `key = value`", path, number));
    } else if (option == nullptr) {
      faults_.push_back(origin + " is not an option" + DidYouMean("", table_.Nearest(key), ""));
    } else {
      Set(*option, Trim(line.substr(equals + 1)), origin);
    }
  }
}

void OptionTable::Parser::ApplyPositional(const std::string& value) {
  if (position_ < table_.positionals_.size()) {
    Option& positional = *table_.positionals_[position_];
    if (positional.list_ == nullptr) ++position_;
    Set(positional, value, positional.name_);
  } else if (!after_unknown_) {
    faults_.push_back(fmt::format("unexpected argument '{}'", value));
  }
  after_unknown_ = false;
}

void OptionTable::Parser::ApplyOption(const po::option& word) {
  const std::string& key = word.string_key;
  Option* option = table_.Find(key);
  std::string value = word.value.empty() ? "true" : word.value[0];
  if (option == nullptr && key.starts_with("no-")) {
    option = table_.Find(key.substr(3));
    if (option != nullptr && !option->is_flag_) option = nullptr;
    value = "false";
  }
  after_unknown_ = word.unregistered || option == nullptr;
  if (after_unknown_) {
    const std::string written = word.original_tokens.empty() ? key : word.original_tokens[0];
    faults_.push_back("unknown option " + written + DidYouMean("--", table_.Nearest(key.empty() ? written : key), ""));
    return;
  }
  if (option->list_ == nullptr && std::ranges::find(seen_, option) != seen_.end())
    faults_.push_back("--" + option->name_ + " is given twice");
  seen_.push_back(option);
  Set(*option, value, "--" + option->name_);
}

void OptionTable::Parser::Set(Option& option, const std::string& text, const std::string& origin) {
  const auto fault = [&](const std::string& what) {
    faults_.push_back(fmt::format("{}: '{}' {}", origin, text, what));
  };
  if (!option.choices_.empty() && std::ranges::find(option.choices_, text) == option.choices_.end()) {
    return fault(fmt::format("is not one of {}{}", fmt::join(option.choices_, ", "),
                             DidYouMean("'", NearestWord(text, option.choices_), "'")));
  }
  try {
    if (option.range_) {
      const auto [low, high] = *option.range_;
      const double value = ParseNumber<double>(text);
      if (value < low || value > high) return fault(fmt::format("is outside {} to {}", low, high));
    }
    option.from_text_(text);
    option.was_set_ = true;
  } catch (const std::logic_error&) {  // invalid_argument and out_of_range
    fault(fmt::format("is not {}", option.is_flag_ ? "true or false" : "a valid " + option.type_));
  }
}

void OptionTable::Parser::CheckRequired() {
  for (const Option& option : table_.options_) {
    if (!option.required_ || option.was_set_) continue;
    faults_.push_back((option.is_positional_ ? "missing " : "missing --") + option.name_ + ": " + option.help_);
  }
}

}  // namespace hullft
