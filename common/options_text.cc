// What an option table says of itself: help, config file, fingerprint, documentation.
#include <fmt/ranges.h>

#include <algorithm>

#include "common/options.h"

namespace hullft {

std::string OptionTable::Help() const {
  std::string text = "usage: " + command_;
  for (const Option* option : positionals_) text += " " + option->name_ + (option->list_ != nullptr ? "..." : "");
  text += " [options]\n\n" + summary_ + "\n";
  std::string group = "\x01";
  for (const Option& option : options_) {
    if (option.group_ != group) text += "\n" + (option.group_.empty() ? "Options" : option.group_) + ":\n";
    group = option.group_;
    std::string left = option.is_positional_ ? "  " + option.name_ : "  --" + option.name_;
    if (!option.is_flag_ && !option.is_positional_) {
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
  if (!examples_.empty()) text += "\nExample:\n" + examples_;
  return text;
}

std::string OptionTable::ConfigText() const {
  std::string text;
  for (const Option& option : options_) {
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
  for (const Option& option : options_) {
    if (option.part_of_result_) lines.push_back(option.name_ + "=" + option.to_text_());
  }
  std::sort(lines.begin(), lines.end());
  return fmt::format("{}", fmt::join(lines, "\n"));
}

std::string OptionTable::Markdown() const {
  std::string text =
      fmt::format("## {}\n\n{}\n\n| option | default | meaning |\n| --- | --- | --- |\n", command_, summary_);
  for (const Option& option : options_) {
    std::string meaning = option.help_;
    if (!option.choices_.empty()) meaning += fmt::format(" (one of {})", fmt::join(option.choices_, ", "));
    if (option.range_) meaning += fmt::format(" ({} to {})", option.range_->first, option.range_->second);
    text += fmt::format("| `{}{}` | {} | {} |\n", option.is_positional_ ? "" : "--", option.name_,
                        option.required_               ? "required"
                        : option.default_text_.empty() ? ""
                                                       : "`" + option.default_text_ + "`",
                        meaning);
  }
  return text;
}

}  // namespace hullft
