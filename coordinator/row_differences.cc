#include "coordinator/row_differences.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace hullft::coordinator {
namespace {
using Json = nlohmann::ordered_json;

constexpr size_t kShown = 60;  // characters of a value

std::string Shown(const Json& value) {
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > kShown) text.replace(kShown, std::string::npos, "...");
  return text;
}

// The largest relative difference of two numbers at the same place; infinite where something else differs.
double Largest(const Json& a, const Json& b) {
  if (a == b) return 0;
  if (a.is_number() && b.is_number()) {
    const double x = a.get<double>(), y = b.get<double>();
    return std::abs(x - y) / std::max(std::abs(x), std::abs(y));
  }
  if (a.type() != b.type() || !a.is_structured() || a.size() != b.size()) return INFINITY;
  double largest = 0;
  for (auto left = a.begin(), right = b.begin(); left != a.end(); ++left, ++right) {
    if (a.is_object() && left.key() != right.key()) return INFINITY;
    largest = std::max(largest, Largest(*left, *right));
  }
  return largest;
}

bool IsScore(const std::string& field) {
  return field == "before" || field == "after" || field == "score_at";
}

Json Comparable(const Row& row) {
  Json json = Json::parse(ToJsonLine(row));
  for (const char* field : {"ms", "worker", "host", "attempts"}) json.erase(field);
  return json;
}

}  // namespace

RowDifferences Differences(const Row& written, const Row& again, double tolerance) {
  const Json a = Comparable(written), b = Comparable(again);
  RowDifferences result;
  const auto differ = [&](const std::string& field) {
    result.fields.push_back(fmt::format("{}: {} was written, {} came now", field,
                                        a.contains(field) ? Shown(a[field]) : "nothing",
                                        b.contains(field) ? Shown(b[field]) : "nothing"));
  };
  for (const auto& [field, value] : a.items()) {
    const double largest = b.contains(field) ? Largest(value, b[field]) : INFINITY;
    if (IsScore(field) && std::isfinite(largest)) result.scores = std::max(result.scores, largest);
    if (largest > (IsScore(field) ? tolerance : 0)) differ(field);
  }
  for (const auto& [field, value] : b.items()) {
    if (!a.contains(field)) differ(field);
  }
  return result;
}

}  // namespace hullft::coordinator
