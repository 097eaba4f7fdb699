// Figures of a benchmark: a table to read, and JSON for `hullft plan --rates` (docs/formats/figures.md).
// Thread safety: values.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace hullft {

struct Figure {
  std::string name;  // stable and machine-readable, e.g. "journal.rows_per_second"
  std::string what;  // one line for a reader
  double value = 0;
  std::string unit;                         // "rows/s", "GB/s", "x" for a ratio, ...
  std::optional<double> at_least, at_most;  // what is asked of it, if anything
  bool Met() const { return !(value < at_least.value_or(value)) && !(value > at_most.value_or(value)); }
};

class Figures {
 public:
  // subject: what was measured, e.g. "cluster". facts: where and how: host, cores, version, sizes.
  Figures(std::string subject, std::vector<std::pair<std::string, std::string>> facts);
  // Host, cores and version of this process: the facts that every subject begins with.
  static std::vector<std::pair<std::string, std::string>> MachineFacts(const std::string& version);

  void Add(Figure figure);
  void AddFact(std::string name, std::string value);

  const std::string& subject() const { return subject_; }
  const std::vector<Figure>& all() const { return figures_; }
  // The value of a figure; nothing when it was not measured.
  std::optional<double> Value(const std::string& name) const;

  // Facts, then a line a figure: what, value, unit, what is asked, "missed" where it is not met.
  std::string Table() const;
  std::string Json() const;
  // Throws kData, naming path and field, for what Json did not write.
  static Figures Parse(const std::string& json, const std::filesystem::path& path);

 private:
  std::string subject_;
  std::vector<std::pair<std::string, std::string>> facts_;
  std::vector<Figure> figures_;
};

}  // namespace hullft
