#include "common/options.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

#include "common/error.h"
#include "common/option_number.h"

namespace hullft {
namespace {

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

Option& OptionTable::Insert(std::string name, std::string help, std::string type) {
  HULLFT_CHECK(Find(name) == nullptr);
  Option& option = options_.emplace_back();
  option.group_ = group_;
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

void OptionTable::Example(const std::string& command_line) {
  examples_ += "  " + command_line + "\n";
}

std::vector<const Option*> OptionTable::options() const {
  std::vector<const Option*> options;
  for (const Option& option : options_) options.push_back(&option);
  return options;
}

Option* OptionTable::Find(std::string_view name) {
  const auto found = std::ranges::find(options_, name, &Option::name_);
  return found == options_.end() ? nullptr : &*found;
}

std::string OptionTable::Nearest(const std::string& name) const {
  std::vector<std::string> names = {"help", "config", "print-config", "completion"};
  for (const Option& option : options_) names.push_back(option.name_);
  return NearestWord(name, names);
}

}  // namespace hullft
