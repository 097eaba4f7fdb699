// The frame of a report: sections, figures with their numbers as tables, one document without any foreign part.
// Every text is escaped here or by the caller's XmlEscaped; `html` in a name says that it is done. Thread safety: free
// functions.
#pragma once

#include <string>
#include <vector>

#include "coordinator/study/table.h"

namespace hullft::page {

std::string TableHtml(const study::Table& table);

struct FigureBlock {
  std::string id;                        // anchor
  std::string title, text;               // text: what is shown, and what was left out
  std::vector<std::string> panels_html;  // SVG
  std::string legend_html;
  std::vector<study::Table> numbers;  // the same figures as text
};
std::string FigureHtml(const FigureBlock& figure);

struct LegendEntry {
  size_t series = 0;
  std::string name;
};
std::string LegendHtml(const std::vector<LegendEntry>& entries);

// Opens offline: style inside, no script, nothing loaded. json: machine-readable copy of the numbers.
std::string DocumentHtml(const std::string& title, const std::string& body_html, const std::string& json);

}  // namespace hullft::page
