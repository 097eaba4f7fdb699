#include "common/printable.h"

#include <fmt/format.h>

#include <cstdint>

namespace hullft {
namespace {

struct Character {
  uint32_t code = 0;
  size_t bytes = 1;
  bool valid = true;
};

// The character that a text begins with, which is not empty. One byte is taken of what is not UTF-8.
Character First(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1, true};
  const size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < bytes) return {lead, 1, false};
  uint32_t code = lead & (0x7fu >> bytes);
  for (size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {lead, 1, false};
    code = code << 6 | (byte(i) & 0x3fu);
  }
  const bool longer_than_needed = (bytes == 3 && code < 0x800) || (bytes == 4 && code < 0x10000);
  const bool surrogate = code >= 0xd800 && code < 0xe000;
  if (longer_than_needed || surrogate || code > 0x10ffff) return {lead, 1, false};
  return {code, bytes, true};
}

bool IsControl(uint32_t code) {
  return code < ' ' || (code >= 0x7f && code < 0xa0) || code == 0x200e || code == 0x200f || code == 0x2028 ||
         code == 0x2029 || (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

}  // namespace

std::string Printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const Character c = First(text);
    if (c.code == '\n') {
      out += text.substr(1, 2) == "  " || text.size() == 1 ? "\n" : "\n  ";
    } else if (!c.valid || (IsControl(c.code) && c.code < 0x80 && c.code != '\t')) {
      out += fmt::format("\\x{:02x}", c.code);
    } else if (IsControl(c.code) && c.code != '\t') {
      out += fmt::format("\\u{:04x}", c.code);
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
    const Character c = First(text);
    if (!c.valid) {
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
