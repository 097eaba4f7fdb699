#include "common/figures.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/error.h"
#include "common/json_read.h"
#include "common/parallel.h"

namespace hullft {
using nlohmann::ordered_json;

Figures::Figures(std::string subject, std::vector<std::pair<std::string, std::string>> facts)
    : subject_(std::move(subject)), facts_(std::move(facts)) {}

std::vector<std::pair<std::string, std::string>> Figures::MachineFacts(const std::string& version) {
  char host[256] = {};
  if (::gethostname(host, sizeof host - 1) != 0) throw IoError("read", "the host's name");
  return {{"hullft", version}, {"host", host}, {"cores", std::to_string(UsableCores())}};
}

void Figures::Add(Figure figure) {
  figures_.push_back(std::move(figure));
}

void Figures::AddFact(std::string name, std::string value) {
  facts_.emplace_back(std::move(name), std::move(value));
}

std::optional<double> Figures::Value(const std::string& name) const {
  const auto place = std::ranges::find(figures_, name, &Figure::name);
  if (place == figures_.end()) return std::nullopt;
  return place->value;
}

std::string Figures::Table() const {
  std::string text;
  for (const auto& [name, value] : facts_) text += fmt::format("{:<16}{}\n", name, value);
  size_t width = 0;
  for (const Figure& figure : figures_) width = std::max(width, figure.what.size());
  text += "\n";
  for (const Figure& figure : figures_) {
    std::string asked;
    if (figure.at_least) asked = fmt::format("at least {:.4g}", *figure.at_least);
    if (figure.at_most) asked += fmt::format("{}at most {:.4g}", asked.empty() ? "" : ", ", *figure.at_most);
    if (!figure.Met()) asked += ": MISSED";
    std::string line =
        fmt::format("{:<{}}  {:>10.4g} {:<10}  {}", figure.what, width, figure.value, figure.unit, asked);
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

std::string Figures::Json() const {
  ordered_json facts = ordered_json::object(), figures = ordered_json::array();
  for (const auto& [name, value] : facts_) facts[name] = value;
  for (const Figure& figure : figures_) {
    ordered_json one = {{"name", figure.name}, {"what", figure.what}, {"value", figure.value}, {"unit", figure.unit}};
    if (figure.at_least) one["at_least"] = *figure.at_least;
    if (figure.at_most) one["at_most"] = *figure.at_most;
    one["met"] = figure.Met();
    figures.push_back(std::move(one));
  }
  const ordered_json all = {{"subject", subject_}, {"facts", facts}, {"figures", figures}};
  return all.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

Figures Figures::Parse(const std::string& json, const std::filesystem::path& path) {
  const ordered_json all = ParseOrderedJson(json, path.string());
  try {
    Figures figures(all.at("subject").get<std::string>(), {});
    for (const auto& [name, value] : all.at("facts").items()) figures.AddFact(name, value.get<std::string>());
    for (const ordered_json& one : all.at("figures")) {
      Figure figure{one.at("name"), one.at("what"), one.at("value").get<double>(), one.at("unit"), {}, {}};
      if (one.contains("at_least")) figure.at_least = one["at_least"].get<double>();
      if (one.contains("at_most")) figure.at_most = one["at_most"].get<double>();
      figures.Add(std::move(figure));
    }
    return figures;
  } catch (const nlohmann::json::exception& error) {
    throw Error(Code::kData, fmt::format("{}: {}", path.string(), error.what()),
                "give a file that hullft bench SUBJECT --output wrote");
  }
}

}  // namespace hullft
