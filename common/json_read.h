// What reading JSON that may be damaged or hostile needs beside the parser. Thread safety: free functions.
#pragma once

#include <concepts>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>
#include <vector>

namespace hullft {

// Throws kData, naming `where`, when the text nests deeper than 100 levels: it would be parsed, but printing, copying
// and comparing the value recurse, and enough levels overflow the stack.
void CheckJsonDepth(std::string_view text, std::string_view where);

// A file's whole text, which is JSON that nests at most 100 levels. Throws kData that names `where` for any other.
nlohmann::json ParseJson(std::string_view text, std::string_view where);
nlohmann::ordered_json ParseOrderedJson(std::string_view text, std::string_view where);

namespace internal {
[[noreturn]] void FailNumber(const char* name, std::string_view value);

template <class T, class Json>
void Convert(const char*, const Json& json, T& value) {
  json.get_to(value);
}
template <class T, class Json>
requires(std::integral<T> && !std::same_as<T, bool>) void Convert(const char* name, const Json& json, T& value) {
  const bool fits = json.is_number_unsigned()
                        ? std::in_range<T>(json.template get<uint64_t>())
                        : json.is_number_integer() && std::in_range<T>(json.template get<int64_t>());
  if (!fits) FailNumber(name, json.is_primitive() ? json.dump() : json.type_name());
  value = json.template get<T>();
}
template <class T, class Json>
void Convert(const char* name, const Json& json, std::vector<T>& values) {
  if (!json.is_array()) FailNumber(name, json.type_name());
  values.resize(json.size());
  for (size_t i = 0; i < values.size(); ++i) Convert(name, json[i], values[i]);
}
}  // namespace internal

// A field that must be there. Whole numbers must be whole and fit into T: the library's own conversion cuts fractions
// off and wraps what is too large. Throws the library's exception for a wrong type (nlohmann::json::exception).
template <class T, class Json>
void ReadField(const Json& object, const char* name, T& value) {
  internal::Convert(name, object.at(name), value);
}
template <class T, class Json>
T Field(const Json& object, const char* name) {
  T value{};
  ReadField(object, name, value);
  return value;
}

}  // namespace hullft
