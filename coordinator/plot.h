// Small plots of positive numbers on a logarithmic axis: plain characters for a terminal, SVG for a browser.
// Zeros and negative numbers have no logarithm: they are drawn at the bottom. Thread safety: free functions.
#pragma once

#include <string>
#include <vector>

namespace hullft::coordinator {

struct Series {
  std::string title;
  std::vector<double> values;  // at x = first_x, first_x + 1, ...
};

struct PlotAxis {
  std::string x_label;
  int first_x = 0;
};

// Lines of at most `columns` characters (40 at least), `height` of them with points; "" without values.
std::string TerminalPlot(const Series& series, const PlotAxis& axis, int columns = 80, int height = 10);

// One self-contained document with a panel per series, in colours that follow the reader's light or dark setting.
std::string SvgPlot(const std::string& title, const std::vector<Series>& panels, const PlotAxis& axis);

}  // namespace hullft::coordinator
