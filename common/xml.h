// Texts inside XML and HTML. Thread safety: free functions.
#pragma once

#include <string>
#include <string_view>

namespace hullft {

// Safe between tags and inside quoted attributes: the five special characters as entities, control characters but line
// feed and tab left out.
std::string XmlEscaped(std::string_view text);

}  // namespace hullft
