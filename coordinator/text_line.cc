#include "coordinator/text_line.h"

namespace hullft::coordinator {

std::string Beginning(const std::string& text, size_t bytes) {
  std::string line;
  for (const char c : text.substr(0, bytes)) {
    const bool space =
        static_cast<unsigned char>(c) <= ' ' || c == 0x7f;  // control characters too: this goes to a terminal
    if (!space) line.push_back(c);
    if (space && !line.empty() && line.back() != ' ') line.push_back(' ');
  }
  if (text.size() <= bytes) return line;
  while (!line.empty() && (static_cast<unsigned char>(line.back()) & 0xc0) == 0x80)
    line.pop_back();  // half a character
  if (!line.empty() && static_cast<unsigned char>(line.back()) >= 0xc0) line.pop_back();
  return line + "...";
}

}  // namespace hullft::coordinator
