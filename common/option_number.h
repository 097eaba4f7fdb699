// Numbers as options take them. Included by the option table's sources only.
#pragma once

#include <charconv>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <type_traits>

namespace hullft {

// The whole of text as a T; an integer may be written as 210e6, a floating-point number as inf. Throws
// std::invalid_argument or std::out_of_range.
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

}  // namespace hullft
