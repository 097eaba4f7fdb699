// One table of options makes everything about them: the parser, ranges, --help, the config file, --print-config, shell
// completion and docs/options.md. A component's settings stay a plain struct; the table binds fields of it to flags.
//
//   TuneSettings s;
//   OptionTable table("hullft tune", "Finetunes ...");
//   table.Add("lr", &s.learning_rate, "learning rate of Adam").Range(0, 1);
//   table.Add("model", &s.model_dir, "Hugging Face folder").Required();
//   if (table.Parse(args)) return 0;     // true: --help, --print-config, --completion or --markdown was served
//
// Order of precedence: defaults (the field's value when Add was called), then --config FILE (lines of `key = value`,
// '#' comments; a line for each value of a list), then flags; a list is replaced as a whole. An unknown flag is a
// kUsage error that names the nearest right one. Not thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hullft {

// One option; the pointers returned by OptionTable::Add allow what follows the name to be chained.
class Option {
 public:
  Option& Required();                              // an error when neither a flag nor the file gives it
  Option& Range(double low, double high);          // inclusive; numbers only
  Option& OneOf(std::vector<std::string> values);  // strings only
  Option& Unit(std::string unit);                  // shown after the default, e.g. "ms"
  // Does not change the results of a run, so it stays out of OptionTable::Fingerprint (e.g. --threads, --quiet).
  Option& NotPartOfResult();

  const std::string& name() const { return name_; }
  const std::string& help() const { return help_; }
  const std::string& default_text() const { return default_text_; }
  const std::vector<std::string>& choices() const { return choices_; }
  const std::string& unit() const { return unit_; }
  const std::string& type() const { return type_; }  // "integer", "text", ...; "" for a flag
  bool is_flag() const { return is_flag_; }
  bool is_positional() const { return is_positional_; }
  bool required() const { return required_; }
  bool was_set() const { return was_set_; }
  std::string ValueText() const { return to_text_(); }

 private:
  friend class OptionTable;
  std::string name_, help_, default_text_, unit_, type_, group_;
  bool is_flag_ = false, required_ = false, was_set_ = false, part_of_result_ = true, is_positional_ = false;
  const std::vector<std::string>* list_ = nullptr;  // the target of a repeatable option
  bool list_begins_ = true;                         // the next value replaces the list, those after it are appended
  std::optional<std::pair<double, double>> range_;
  std::vector<std::string> choices_;
  std::function<void(const std::string&)> from_text_;  // throws std::invalid_argument
  std::function<std::string()> to_text_;
};

class OptionTable {
 public:
  // command: "hullft run"; summary: one or more sentences for the top of --help.
  OptionTable(std::string command, std::string summary);
  OptionTable(const OptionTable&) = delete;  // pointers into it
  OptionTable& operator=(const OptionTable&) = delete;

  // Bind *target to --name. T: bool (a flag: --name, --no-name), int, int64_t, double, std::string,
  // std::vector<std::string> (repeatable). target must outlive the table; its present value is the default.
  Option& Add(std::string name, bool* target, std::string help);
  Option& Add(std::string name, int* target, std::string help);
  Option& Add(std::string name, int64_t* target, std::string help);
  Option& Add(std::string name, double* target, std::string help);
  Option& Add(std::string name, std::string* target, std::string help);
  Option& Add(std::string name, std::vector<std::string>* target, std::string help);
  // A heading in --help over the options added after it.
  void Group(std::string title);
  // A word without dashes, in order: `hullft index search "text"`.
  Option& AddPositional(std::string name, std::string* target, std::string help);
  // All the words without dashes that are left; after every other positional.
  Option& AddPositional(std::string name, std::vector<std::string>* target, std::string help);
  // A command line to show under --help, as one would type it; one after the other where there are several.
  void Example(const std::string& command_line);

  // Fills the targets. Returns true when the call only asked for --help, --print-config, --completion or --markdown
  // (served on standard output). Throws kUsage for anything wrong, with all faults in one message.
  bool Parse(const std::vector<std::string>& args);

  std::string Help() const;
  // Every option as `key = value`, loadable by --config; a repeatable one has a line for each value.
  std::string ConfigText() const;
  // The options that change results, as sorted `key=value` lines: the part of a run's identity that comes from
  // settings.
  std::string Fingerprint() const;
  // A Markdown table: one chapter of docs/options.md.
  std::string Markdown() const;
  const std::string& command() const { return command_; }
  // In the order added; valid as long as the table.
  std::vector<const Option*> options() const;
  // The option's name that is most like `name`, or "".
  std::string Nearest(const std::string& name) const;

 private:
  class Parser;  // options_parse.cc
  Option& Insert(std::string name, std::string help, std::string type);
  Option* Find(std::string_view name);

  std::string command_, summary_, group_, examples_;
  std::deque<Option> options_;  // in the order added; pointers to them stay valid
  std::vector<Option*> positionals_;
};

// The candidate with the smallest edit distance to word, or "" when none is near (distance > max(2, length / 3)).
std::string NearestWord(const std::string& word, const std::vector<std::string>& candidates);

}  // namespace hullft
