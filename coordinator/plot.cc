#include "coordinator/plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "common/xml.h"

namespace hullft::coordinator {
namespace {

// The logarithmic axis over some values, from 0 (bottom) to 1 (top).
class LogAxis {
 public:
  explicit LogAxis(const std::vector<double>& values) {
    double least = 0, most = 0;
    for (const double value : values) {
      if (!(value > 0)) continue;
      least = least > 0 ? std::min(least, value) : value;
      most = std::max(most, value);
    }
    if (most <= 0) least = most = 1;  // nothing but zeros
    low_ = std::log10(least), high_ = std::log10(most);
    if (high_ - low_ < 1e-9) low_ -= 0.05, high_ += 0.05;  // one value: in the middle
  }
  double Place(double value) const { return value > 0 ? (std::log10(value) - low_) / (high_ - low_) : 0.0; }
  double At(double place) const { return std::pow(10, low_ + place * (high_ - low_)); }

 private:
  double low_ = 0, high_ = 1;
};

constexpr int kLabel = 9;  // characters of a number at the axis

constexpr double kWidth = 760, kPanel = 230, kLeft = 90, kRight = 20, kTop = 70, kGap = 60;

std::string SvgPanel(const Series& series, const PlotAxis& axis, double top) {
  const LogAxis log(series.values);
  const double width = kWidth - kLeft - kRight, height = kPanel - kGap;
  const auto last = static_cast<double>(series.values.size() - 1);
  const auto x = [&](double i) { return kLeft + (last > 0 ? width * i / last : width / 2); };
  const auto y = [&](double place) { return top + height * (1 - place); };
  std::string text =
      fmt::format("<text class=\"title\" x=\"{}\" y=\"{:.1f}\">{}</text>\n", kLeft, top - 10, XmlEscaped(series.title));
  for (int tick = 0; tick <= 4; ++tick) {
    const double place = tick / 4.0;
    text += fmt::format(
        "<line class=\"grid\" x1=\"{}\" y1=\"{:.1f}\" x2=\"{}\" y2=\"{:.1f}\"/>"
        "<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{:.3g}</text>\n",
        kLeft, y(place), kWidth - kRight, y(place), kLeft - 8, y(place) + 4, log.At(place));
    const double i = std::round(last * place);
    if (tick == 0 || i > std::round(last * (tick - 1) / 4.0)) {
      text += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>\n", x(i), top + height + 18,
                          axis.first_x + static_cast<int>(i));
    }
  }
  text += fmt::format("<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n", kWidth - kRight, top + height + 34,
                      XmlEscaped(axis.x_label));
  std::string points;
  for (size_t i = 0; i < series.values.size(); ++i) {
    const double px = x(static_cast<double>(i)), py = y(log.Place(series.values[i]));
    points += fmt::format("{}{:.1f},{:.1f}", i > 0 ? " " : "", px, py);
    if (series.values.size() <= 60) text += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2.5\"/>\n", px, py);
  }
  return text + fmt::format("<polyline points=\"{}\"/>\n", points);
}

}  // namespace

std::string TerminalPlot(const Series& series, const PlotAxis& axis, int columns, int height) {
  if (series.values.empty()) return "";
  const LogAxis log(series.values);
  const int cells = std::max(columns, 40) - kLabel - 2;
  std::vector<std::string> rows(static_cast<size_t>(height), std::string(static_cast<size_t>(cells), ' '));
  const auto last = static_cast<double>(series.values.size() - 1);
  for (size_t i = 0; i < series.values.size(); ++i) {
    const double x = last > 0 ? static_cast<double>(i) / last : 0.0;
    const double place = std::clamp(log.Place(series.values[i]), 0.0, 1.0);
    const auto row = static_cast<size_t>(std::lround((1 - place) * (height - 1)));
    rows[row][static_cast<size_t>(std::lround(x * (cells - 1)))] = '*';
  }
  std::string text = series.title + "\n";
  for (int r = 0; r < height; ++r) {
    const bool labelled = r == 0 || r == height - 1 || r == height / 2;
    const double place = height > 1 ? 1 - static_cast<double>(r) / (height - 1) : 0.5;
    std::string& row = rows[static_cast<size_t>(r)];
    row.erase(row.find_last_not_of(' ') + 1);
    text += fmt::format("{:>{}} |{}\n", labelled ? fmt::format("{:.3g}", log.At(place)) : "", kLabel, row);
  }
  const std::string from = std::to_string(axis.first_x);
  const std::string to = fmt::format("{} {}", axis.first_x + static_cast<int>(series.values.size()) - 1, axis.x_label);
  text += fmt::format("{:>{}} +{}\n", "", kLabel, std::string(static_cast<size_t>(cells), '-'));
  text += fmt::format("{:>{}}  {}{:>{}}\n", "", kLabel, from, to, cells - static_cast<int>(from.size()));
  return text;
}

std::string SvgPlot(const std::string& title, const std::vector<Series>& panels, const PlotAxis& axis) {
  const double height = kTop + kPanel * static_cast<double>(panels.size());
  std::string text = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" role=\"img\">\n"
      "<title>{2}</title>\n",
      kWidth, height, XmlEscaped(title));
  text +=
      "<style>\n"
      "svg { background: #ffffff; font: 12px sans-serif; }\n"
      "text { fill: #333333; } .title { font-size: 14px; font-weight: bold; }\n"
      ".grid { stroke: #dddddd; } polyline { fill: none; stroke: #1f6fb4; stroke-width: 2; } circle { fill: #1f6fb4; "
      "}\n"
      "@media (prefers-color-scheme: dark) {\n"
      "  svg { background: #1b1b1f; } text { fill: #dddddd; } .grid { stroke: #44444a; }\n"
      "  polyline { stroke: #6db3f2; } circle { fill: #6db3f2; }\n"
      "}\n"
      "</style>\n";
  text += fmt::format("<text x=\"{}\" y=\"24\">{}</text>\n", kLeft, XmlEscaped(title));
  for (size_t p = 0; p < panels.size(); ++p) {
    if (!panels[p].values.empty()) text += SvgPanel(panels[p], axis, kTop + kPanel * static_cast<double>(p));
  }
  return text + "</svg>\n";
}

}  // namespace hullft::coordinator
