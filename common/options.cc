#include "common/options.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <sstream>

#include "common/error.h"
#include "common/files.h"

namespace hullft {
namespace po = boost::program_options;

struct OptionTable::Entry {
  Option option;
  std::string group;
};

namespace {

template <class T>
T ParseNumber(const std::string& text) {
  if constexpr (std::is_floating_point_v<T>) {
    if (text == "inf") return std::numeric_limits<T>::infinity();
    size_t used = 0;
    const T value = std::stod(text, &used);
    if (used != text.size() || std::isnan(value)) throw std::invalid_argument("number");
    return value;
  } else {
    T value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc() && end == text.data() + text.size()) return value;
    const double wide = ParseNumber<double>(text);  // 210e6 is an integer too
    if (wide != std::floor(wide) || std::abs(wide) > 9e15) throw std::invalid_argument("integer");
    if (wide < static_cast<double>(std::numeric_limits<T>::min()) ||
        wide > static_cast<double>(std::numeric_limits<T>::max()))
      throw std::invalid_argument("integer");
    return static_cast<T>(wide);
  }
}

bool ParseBool(const std::string& text) {
  if (text == "true" || text == "1" || text == "yes" || text == "on") return true;
  if (text == "false" || text == "0" || text == "no" || text == "off") return false;
  throw std::invalid_argument("true or false");
}

size_t EditDistance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t next = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
      diagonal = row[j];
      row[j] = next;
    }
  }
  return row.back();
}

std::string Trim(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

}  // namespace

std::string NearestWord(const std::string& word, const std::vector<std::string>& candidates) {
  std::string best;
  size_t best_distance = std::max<size_t>(2, word.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    const size_t distance = EditDistance(word, candidate);
    if (distance < best_distance) best = candidate, best_distance = distance;
  }
  return best;
}

Option& Option::Required() {
  required_ = true;
  return *this;
}
Option& Option::Range(double low, double high) {
  range_ = {low, high};
  return *this;
}
Option& Option::OneOf(std::vector<std::string> values) {
  choices_ = std::move(values);
  return *this;
}
Option& Option::Unit(std::string unit) {
  unit_ = std::move(unit);
  return *this;
}
Option& Option::NotPartOfResult() {
  part_of_result_ = false;
  return *this;
}

OptionTable::OptionTable(std::string command, std::string summary)
    : command_(std::move(command)), summary_(std::move(summary)) {}
OptionTable::~OptionTable() = default;

Option& OptionTable::Insert(std::string name, std::string help, std::string type) {
  HULLFT_CHECK(Find(name) == nullptr);
  entries_.push_back(std::make_unique<Entry>());
  entries_.back()->group = group_;
  Option& option = entries_.back()->option;
  option.name_ = std::move(name);
  option.help_ = std::move(help);
  option.type_ = std::move(type);
  return option;
}

Option& OptionTable::Add(std::string name, bool* target, std::string help) {
  Option& option = Insert(std::move(name), std::move(help), "");
  option.is_flag_ = true;
  option.from_text_ = [target](const std::string& text) { *target = ParseBool(text); };
  option.to_text_ = [target] { return *target ? "true" : "false"; };
  option.default_text_ = option.to_text_();
  return option;
}

Option& OptionTable::Add(std::string name, int* target, std::string help) {
  Option& option = Insert(std::move(name), std::move(help), "integer");
  option.from_text_ = [target](const std::string& text) { *target = ParseNumber<int>(text); };
  option.to_text_ = [target] { return std::to_string(*target); };
  option.default_text_ = option.to_text_();
  return option;
}

Option& OptionTable::Add(std::string name, int64_t* target, std::string help) {
  Option& option = Insert(std::move(name), std::move(help), "integer");
  option.from_text_ = [target](const std::string& text) { *target = ParseNumber<int64_t>(text); };
  option.to_text_ = [target] { return std::to_string(*target); };
  option.default_text_ = option.to_text_();
  return option;
}

Option& OptionTable::Add(std::string name, double* target, std::string help) {
  Option& option = Insert(std::move(name), std::move(help), "number");
  option.from_text_ = [target](const std::string& text) { *target = ParseNumber<double>(text); };
  option.to_text_ = [target] { return fmt::format("{}", *target); };
  option.default_text_ = option.to_text_();
  return option;
}

Option& OptionTable::Add(std::string name, std::string* target, std::string help) {
  Option& option = Insert(std::move(name), std::move(help), "text");
  option.from_text_ = [target](const std::string& text) { *target = text; };
  option.to_text_ = [target] { return *target; };
  option.default_text_ = option.to_text_();
  return option;
}

Option& OptionTable::Add(std::string name, std::vector<std::string>* target, std::string help) {
  Option& option = Insert(std::move(name), std::move(help), "text, repeatable");
  option.list_ = target;
  option.from_text_ = [target, &option](const std::string& text) {
    if (option.list_begins_) target->clear();
    option.list_begins_ = false;
    target->push_back(text);
  };
  option.to_text_ = [target] { return fmt::format("{}", fmt::join(*target, " ")); };
  option.default_text_ = option.to_text_();
  return option;
}

void OptionTable::Group(std::string title) {
  group_ = std::move(title);
}

Option& OptionTable::AddPositional(std::string name, std::string* target, std::string help) {
  Option& option = Add(std::move(name), target, std::move(help));
  option.is_positional_ = true;
  positionals_.push_back(&option);
  return option;
}

Option& OptionTable::AddPositional(std::string name, std::vector<std::string>* target, std::string help) {
  Option& option = Add(std::move(name), target, std::move(help));
  option.is_positional_ = true;
  positionals_.push_back(&option);
  return option;
}

void OptionTable::Example(std::string command_line) {
  example_ = std::move(command_line);
}

std::vector<const Option*> OptionTable::options() const {
  std::vector<const Option*> options;
  for (const auto& entry : entries_) options.push_back(&entry->option);
  return options;
}

Option* OptionTable::Find(std::string_view name) const {
  for (const auto& entry : entries_) {
    if (entry->option.name_ == name) return &entry->option;
  }
  return nullptr;
}

std::string OptionTable::Nearest(const std::string& name) const {
  std::vector<std::string> names = {"help", "config", "print-config", "completion"};
  for (const auto& entry : entries_) names.push_back(entry->option.name_);
  return NearestWord(name, names);
}

void OptionTable::Set(Option& option, const std::string& text, const std::string& origin,
                      std::vector<std::string>* faults) {
  const auto fault = [&](const std::string& what) {
    faults->push_back(fmt::format("{}: '{}' {}", origin, text, what));
  };
  if (!option.choices_.empty() &&
      std::find(option.choices_.begin(), option.choices_.end(), text) == option.choices_.end()) {
    const std::string nearest = NearestWord(text, option.choices_);
    fault(fmt::format("is not one of {}{}", fmt::join(option.choices_, ", "),
                      nearest.empty() ? "" : "; did you mean '" + nearest + "'?"));
    return;
  }
  try {
    if (option.range_) {
      const double value = ParseNumber<double>(text);
      if (value < option.range_->first || value > option.range_->second) {
        fault(fmt::format("is outside {} to {}", option.range_->first, option.range_->second));
        return;
      }
    }
    option.from_text_(text);
    option.was_set_ = true;
  } catch (const std::logic_error&) {  // invalid_argument and out_of_range
    fault(fmt::format("is not {}", option.is_flag_ ? "true or false" : "a valid " + option.type_));
  }
}

void OptionTable::ApplyFile(const std::string& path, std::vector<std::string>* faults) {
  std::istringstream file(ReadFile(path));
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    line = Trim(line);
    if (line.empty() || line[0] == '#') continue;
    const size_t equals = line.find('=');
    const std::string key = Trim(line.substr(0, equals));
    Option* option = Find(key);
    const std::string origin = fmt::format("{}:{}: {}", path, number, key);
    if (equals == std::string::npos) {
      faults->push_back(fmt::format("{}:{}: expected `key = value`", path, number));
    } else if (option == nullptr) {
      const std::string nearest = Nearest(key);
      faults->push_back(origin + " is not an option" + (nearest.empty() ? "" : "; did you mean " + nearest + "?"));
    } else {
      Set(*option, Trim(line.substr(equals + 1)), origin, faults);
    }
  }
}

bool OptionTable::Parse(const std::vector<std::string>& args) {
  // Boost splits the words; names, values and ranges are checked here so that every fault can name what was meant.
  po::options_description description;
  for (const auto& entry : entries_) {
    if (entry->option.is_flag_) {
      description.add_options()(entry->option.name_.c_str(), po::value<std::string>()->implicit_value("true"), "");
      description.add_options()(("no-" + entry->option.name_).c_str(), "");
    } else {
      description.add_options()(entry->option.name_.c_str(), po::value<std::string>(), "");
    }
  }
  description.add_options()("help,h", "")("print-config", "")("completion", "")("markdown", "")(
      "config", po::value<std::string>(), "");
  namespace style = po::command_line_style;
  std::vector<std::string> faults;
  po::parsed_options parsed(&description);
  try {
    // A flag's implicit value must be adjacent (--name=false), or a positional after it would be eaten.
    std::vector<std::string> words = args;
    for (std::string& word : words) {
      if (word.size() > 2 && word.starts_with("--") && word.find('=') == std::string::npos) {
        const Option* option = Find(word.substr(2));
        if (option != nullptr && option->is_flag_) word += "=true";
      }
    }
    parsed = po::command_line_parser(words)
                 .options(description)
                 .style(style::allow_long | style::allow_short | style::allow_dash_for_short | style::short_allow_next |
                        style::long_allow_next | style::long_allow_adjacent)
                 .allow_unregistered()
                 .run();
  } catch (const po::error& error) {
    throw Error(Code::kUsage, fmt::format("{}: {}", command_, error.what()), command_ + " --help lists the options");
  }
  bool print_config = false;
  size_t position = 0;
  for (const auto& word : parsed.options) {
    if (word.string_key == "help") {
      std::fputs(Help().c_str(), stdout);
      return true;
    }
    if (word.string_key == "markdown") {
      std::fputs(Markdown().c_str(), stdout);
      return true;
    }
    if (word.string_key == "completion") {
      for (const auto& entry : entries_) {
        if (!entry->option.is_positional_) fmt::print("--{}\n", entry->option.name_);
      }
      return true;
    }
    if (word.string_key == "print-config") print_config = true;
    if (word.string_key == "config" && !word.unregistered) ApplyFile(word.value.at(0), &faults);
  }
  for (const auto& entry : entries_) entry->option.list_begins_ = true;  // flags win over the file's lists as well
  std::vector<const Option*> seen;
  bool after_unknown = false;
  for (const auto& word : parsed.options) {
    std::string key = word.string_key;
    if (key == "config" || key == "print-config") continue;
    if (word.position_key >= 0 && key.empty()) {
      if (position < positionals_.size()) {
        Option& positional = *positionals_[position];
        if (positional.list_ == nullptr) ++position;
        Set(positional, word.value.at(0), positional.name_, &faults);
      } else if (!after_unknown) {  // else it is the unknown option's value
        faults.push_back(fmt::format("unexpected argument '{}'", word.value.at(0)));
      }
      after_unknown = false;
      continue;
    }
    Option* option = Find(key);
    std::string value = word.value.empty() ? "true" : word.value[0];
    if (option == nullptr && key.starts_with("no-")) {
      option = Find(key.substr(3));
      if (option != nullptr && !option->is_flag_) option = nullptr;
      value = "false";
    }
    if (word.unregistered || option == nullptr) {
      const std::string written = word.original_tokens.empty() ? key : word.original_tokens[0];
      const std::string nearest = Nearest(key.empty() ? written : key);
      faults.push_back("unknown option " + written + (nearest.empty() ? "" : "; did you mean --" + nearest + "?"));
      after_unknown = true;
      continue;
    }
    after_unknown = false;
    if (option->list_ == nullptr && std::find(seen.begin(), seen.end(), option) != seen.end()) {
      faults.push_back("--" + option->name_ + " is given twice");
    }
    seen.push_back(option);
    Set(*option, value, "--" + option->name_, &faults);
  }
  for (const auto& entry : entries_) {
    if (entry->option.required_ && !entry->option.was_set_ && !print_config) {
      faults.push_back((entry->option.is_positional_ ? "missing " : "missing --") + entry->option.name_ + ": " +
                       entry->option.help_);
    }
  }
  if (!faults.empty()) {
    throw Error(Code::kUsage, fmt::format("{}: {}", command_, fmt::join(faults, "\n  ")),
                command_ + " --help lists the options");
  }
  if (print_config) std::fputs(ConfigText().c_str(), stdout);
  return print_config;
}

std::string OptionTable::Help() const {
  std::string text = "usage: " + command_;
  for (const Option* option : positionals_) text += " " + option->name_ + (option->list_ != nullptr ? "..." : "");
  text += " [options]\n\n" + summary_ + "\n";
  std::string group = "\x01";
  for (const auto& entry : entries_) {
    const Option& option = entry->option;
    if (entry->group != group) text += "\n" + (entry->group.empty() ? "Options" : entry->group) + ":\n";
    group = entry->group;
    std::string left = entry->option.is_positional_ ? "  " + option.name_ : "  --" + option.name_;
    if (!option.is_flag_ && !entry->option.is_positional_) {
      left += option.choices_.empty() ? " " + option.type_ : fmt::format(" {}", fmt::join(option.choices_, "|"));
    }
    std::string right = option.help_;
    if (option.required_) {
      right += " (required)";
    } else if (!option.default_text_.empty()) {
      right += fmt::format(" (default {}{})", option.default_text_, option.unit_.empty() ? "" : " " + option.unit_);
    }
    text += left.size() < 30 ? fmt::format("{:<30}{}\n", left, right) : fmt::format("{}\n{:<30}{}\n", left, "", right);
  }
  text += fmt::format("\nEverywhere:\n{:<30}{}\n{:<30}{}\n{:<30}{}\n", "  --config text",
                      "read `key = value` lines first; flags win", "  --print-config",
                      "print the settings that would be used and end", "  --help", "this text");
  if (!example_.empty()) text += "\nExample:\n  " + example_ + "\n";
  return text;
}

std::string OptionTable::ConfigText() const {
  std::string text;
  for (const auto& entry : entries_) {
    const Option& option = entry->option;
    if (option.is_positional_) continue;
    text += fmt::format("# {}\n", option.help_);
    const auto values = option.list_ != nullptr ? *option.list_ : std::vector{option.to_text_()};
    for (const std::string& value : values) text += fmt::format("{} = {}\n", option.name_, value);
    if (values.empty()) text += fmt::format("# {} =\n", option.name_);
  }
  return text;
}

std::string OptionTable::Fingerprint() const {
  std::vector<std::string> lines;
  for (const auto& entry : entries_) {
    if (entry->option.part_of_result_) lines.push_back(entry->option.name_ + "=" + entry->option.to_text_());
  }
  std::sort(lines.begin(), lines.end());
  return fmt::format("{}", fmt::join(lines, "\n"));
}

std::string OptionTable::Markdown() const {
  std::string text =
      fmt::format("## {}\n\n{}\n\n| option | default | meaning |\n| --- | --- | --- |\n", command_, summary_);
  for (const auto& entry : entries_) {
    const Option& option = entry->option;
    std::string meaning = option.help_;
    if (!option.choices_.empty()) meaning += fmt::format(" (one of {})", fmt::join(option.choices_, ", "));
    if (option.range_) meaning += fmt::format(" ({} to {})", option.range_->first, option.range_->second);
    text += fmt::format("| `{}{}` | {} | {} |\n", entry->option.is_positional_ ? "" : "--", option.name_,
                        option.required_               ? "required"
                        : option.default_text_.empty() ? ""
                                                       : "`" + option.default_text_ + "`",
                        meaning);
  }
  return text;
}

}  // namespace hullft
