// Texts that come from files, on their way to a terminal or a log: nothing in them moves the cursor, changes a title,
// hides what stands beside it or looks like a line of hullft's own. Not for JSON, CSV and pages: these have their own
// quotes. Thread safety: free functions.
#pragma once

#include <string>
#include <string_view>

namespace hullft {

// A message, which may have several lines. Control characters (C0 but line feed and tab, DEL, C1), marks that turn the
// direction of writing, and bytes that are not UTF-8 are shown as \x1b, \u202e and so on. A line after the first begins
// with two spaces, so that none passes for a message of its own.
std::string Printable(std::string_view text);

// A cell or a name: the same characters, line feeds and tabs among them, are a space each, bytes that are not UTF-8 are
// question marks. Never longer than text.
std::string PrintableLine(std::string_view text);

}  // namespace hullft
