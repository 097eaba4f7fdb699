#include "common/json_read.h"

#include <string>

#include "common/error.h"

namespace hullft {

void CheckJsonDepth(std::string_view text, std::string_view where) {
  constexpr int kMaxDepth = 100;
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      in_string = c != '"';
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxDepth) throw DataError("{}: JSON nested deeper than {} levels", where, kMaxDepth);
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
}

namespace {

template <class Json>
Json Parse(std::string_view text, std::string_view where) {
  CheckJsonDepth(text, where);
  try {
    return Json::parse(text);
  } catch (const nlohmann::json::exception& error) {
    throw Error(Code::kData, fmt::format("{}: not JSON: {}", where, error.what()), "the file is damaged, or cut off");
  }
}

}  // namespace

nlohmann::json ParseJson(std::string_view text, std::string_view where) {
  return Parse<nlohmann::json>(text, where);
}

nlohmann::ordered_json ParseOrderedJson(std::string_view text, std::string_view where) {
  return Parse<nlohmann::ordered_json>(text, where);
}

void internal::FailNumber(const char* name, std::string_view value) {
  throw nlohmann::json::type_error::create(
      302, fmt::format("field {} is {}, not a whole number that it can hold", name, value), nullptr);
}

}  // namespace hullft
