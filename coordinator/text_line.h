// Texts in tables. Thread safety: free functions.
#pragma once

#include <cstddef>
#include <string>

namespace hullft::coordinator {

// The first bytes of a text on one line: runs of white space and control characters are one space (this goes to a
// terminal), no character is cut, "..." follows when something was left out. At most bytes + 3 long.
std::string Beginning(const std::string& text, size_t bytes);

}  // namespace hullft::coordinator
