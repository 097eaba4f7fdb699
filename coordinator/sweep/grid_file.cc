#include "coordinator/sweep/grid_file.h"

#include <fmt/ranges.h>
#include <toml++/toml.h>

#include <algorithm>
#include <optional>

#include "common/error.h"
#include "common/options.h"

namespace hullft::coordinator {
namespace {

std::optional<std::string> ValueText(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return std::to_string(number->get());
  if (const auto* number = node.as_floating_point()) return fmt::format("{}", number->get());
  if (const auto* flag = node.as_boolean()) return flag->get() ? "true" : "false";
  return std::nullopt;
}

GridKey KeyOf(const std::string& name, const toml::node& node, const std::string& origin,
              std::vector<std::string>* faults) {
  GridKey key{name, {}, node.is_array(), origin};
  const auto add = [&](const toml::node& value) {
    if (const auto text = ValueText(value)) {
      key.values.push_back(*text);
    } else {
      faults->push_back(
          fmt::format("{}: {} is neither a text, a number, true or false, nor a list of these", origin, name));
    }
  };
  if (const toml::array* list = node.as_array()) {
    for (const toml::node& value : *list) add(value);
    if (list->empty()) faults->push_back(fmt::format("{}: {} is an empty list: the grid has no cell", origin, name));
  } else {
    add(node);
  }
  return key;
}

toml::table Parse(const std::string& text, const std::string& origin) {
  try {
    return toml::parse(text, origin);
  } catch (const toml::parse_error& error) {
    throw Error(Code::kUsage,
                fmt::format("{}:{}:{}: {}", origin, error.source().begin.line, error.source().begin.column,
                            std::string(error.description())),
                "a sweep is TOML: key = value, key = [value, value]; texts in quotes");
  }
}

// "n=[1, 2]" is TOML; "method=knn" is a text without its quotes.
toml::table ParseSet(const std::string& set) {
  const size_t equals = set.find('=');
  if (equals == std::string::npos || equals == 0)
    throw Error(Code::kUsage, fmt::format("--set {}: expected key=value", set));
  toml::table table;
  const std::string value = set.substr(equals + 1);
  try {
    table = toml::parse("value = " + value);
  } catch (const toml::parse_error&) {  // ignored: a text without its quotes
    table.insert("value", value);
  }
  toml::table named;
  named.insert(set.substr(0, equals), *table.get("value"));
  return named;
}

// A toml::table is ordered by name.
std::vector<std::pair<std::string, const toml::node*>> InFileOrder(const toml::table& table) {
  std::vector<std::pair<std::string, const toml::node*>> entries;
  for (const auto& [name, node] : table) entries.emplace_back(name.str(), &node);
  std::ranges::stable_sort(entries, {}, [](const auto& entry) { return entry.second->source().begin.line; });
  return entries;
}

void Put(GridKey key, std::vector<GridKey>* keys) {
  const auto place = std::ranges::find(*keys, key.name, &GridKey::name);
  if (place == keys->end()) {
    keys->push_back(std::move(key));
  } else {
    *place = std::move(key);
  }
}

std::string Quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < ' ' || byte == 0x7f) {
      out += fmt::format("\\u{:04x}", byte);
    } else {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
  }
  return out + "\"";
}

}  // namespace

std::vector<GridKey> ReadGridFile(const std::string& toml, const std::string& origin,
                                  const std::vector<std::string>& sets, const std::vector<std::string>& known) {
  std::vector<std::string> faults;
  std::vector<GridKey> keys;
  const auto take = [&](const toml::table& table, const std::string& where) {
    for (const auto& [key, at] : InFileOrder(table)) {
      const toml::node& node = *at;
      const std::string place = where.empty() ? fmt::format("{}:{}", origin, node.source().begin.line) : where;
      if (std::ranges::find(known, key) == known.end()) {
        const std::string nearest = NearestWord(key, known);
        faults.push_back(
            fmt::format("{}: unknown key {}{}", place, key, nearest.empty() ? "" : "; did you mean " + nearest + "?"));
      } else {
        Put(KeyOf(key, node, place, &faults), &keys);
      }
    }
  };
  take(Parse(toml, origin), "");
  for (const std::string& set : sets) take(ParseSet(set), "--set " + set);
  if (!faults.empty())
    throw Error(Code::kUsage, fmt::format("hullft sweep: {}", fmt::join(faults, "\n  ")),
                "the keys are the options of hullft run, without --, and launcher");
  return keys;
}

std::string GridText(const std::vector<GridKey>& keys) {
  std::string text;
  for (const GridKey& key : keys) {
    std::vector<std::string> values;
    for (const std::string& value : key.values) values.push_back(Quoted(value));
    const std::string joined = fmt::format("{}", fmt::join(values, ", "));
    text += fmt::format("{} = {}\n", key.name, key.list ? "[" + joined + "]" : joined);
  }
  return text;
}

}  // namespace hullft::coordinator
