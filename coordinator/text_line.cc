#include "coordinator/text_line.h"

#include <algorithm>
#include <string_view>

#include "common/printable.h"

namespace hullft::coordinator {
namespace {

bool ContinuesACharacter(char c) {
  return (static_cast<unsigned char>(c) & 0xc0) == 0x80;
}

}  // namespace

std::string Beginning(const std::string& text, size_t bytes) {
  size_t end = std::min(bytes, text.size());
  if (end < text.size()) {
    for (int back = 0; back < 3 && end > 0 && ContinuesACharacter(text[end]); ++back) --end;
  }
  std::string line;
  for (const char c : PrintableLine(std::string_view(text).substr(0, end))) {
    if (c != ' ' || (!line.empty() && line.back() != ' ')) line.push_back(c);
  }
  return end == text.size() ? line : line + "...";
}

}  // namespace hullft::coordinator
