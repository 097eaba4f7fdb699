#include "common/printable.h"

#include <fmt/format.h>

#include <cstdint>

#include "common/utf8.h"

namespace hullft {
namespace {

// The character that a text begins with, which is not empty. One byte is taken of what is not UTF-8.
struct First {
  explicit First(std::string_view text) {
    size_t bad = 0;
    valid = WellFormedLength(text, 0, &bad) > 0;
    character = valid ? DecodeAt(text, 0) : Character{static_cast<unsigned char>(text[0]), 1};
  }
  Character character;
  bool valid;
};

bool IsControl(char32_t code) {
  return code < ' ' || (code >= 0x7f && code < 0xa0) || code == 0x200e || code == 0x200f || code == 0x2028 ||
         code == 0x2029 || (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

}  // namespace

std::string Printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const First first(text);
    const Character c = first.character;
    if (c.code == '\n') {
      out += text.substr(1, 2) == "  " || text.size() == 1 ? "\n" : "\n  ";
    } else if (!first.valid || (IsControl(c.code) && c.code < 0x80 && c.code != '\t')) {
      out += fmt::format("\\x{:02x}", static_cast<uint32_t>(c.code));
    } else if (IsControl(c.code) && c.code != '\t') {
      out += fmt::format("\\u{:04x}", static_cast<uint32_t>(c.code));
    } else {
      out += text.substr(0, c.bytes);
    }
    text.remove_prefix(c.bytes);
  }
  return out;
}

std::string PrintableLine(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const First first(text);
    const Character c = first.character;
    if (!first.valid) {
      out += '?';
    } else if (IsControl(c.code)) {
      out += ' ';
    } else {
      out += text.substr(0, c.bytes);
    }
    text.remove_prefix(c.bytes);
  }
  return out;
}

}  // namespace hullft
