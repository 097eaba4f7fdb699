#include "coordinator/page/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "common/xml.h"

namespace hullft::page {
namespace {

constexpr double kLeft = 58, kRight = 12, kTop = 30, kBottom = 46;  // px around the axes
constexpr size_t kSeries = 8;                                       // of the style sheet

std::string SeriesClass(size_t series) {
  return fmt::format("s{}", series % kSeries);
}

// The shapes are about as heavy as a circle of radius 4.
std::string ShapePath(size_t series, double x, double y) {
  switch (series % kSeries) {
    case 0:
      return fmt::format("M{:.1f} {:.1f}a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z", x - 4, y);
    case 1:
      return fmt::format("M{:.1f} {:.1f}h7v7h-7z", x - 3.5, y - 3.5);
    case 2:
      return fmt::format("M{:.1f} {:.1f}l4.6 8h-9.2z", x, y - 5);
    case 3:
      return fmt::format("M{:.1f} {:.1f}l5 5l-5 5l-5 -5z", x, y - 5);
    case 4:
      return fmt::format("M{:.1f} {:.1f}l4.6 -8h-9.2z", x, y + 5);
    case 5:
      return fmt::format("M{:.1f} {:.1f}h3v3h3v3h-3v3h-3v-3h-3v-3h3z", x - 1.5, y - 4.5);
    case 6:
      return fmt::format("M{:.1f} {:.1f}h10v4h-10z", x - 5, y - 2);
    default:
      return fmt::format("M{:.1f} {:.1f}h4v10h-4z", x - 2, y - 5);
  }
}

std::string Tooltip(const std::string& text) {
  return text.empty() ? "" : "<title>" + XmlEscaped(text) + "</title>";
}

std::string NumberText(double value) {
  const double size = std::abs(value);
  if (size != 0 && (size < 1e-3 || size >= 1e6)) return fmt::format("{:.0e}", value);
  return fmt::format("{:.6g}", value);
}

}  // namespace

Scale Scale::Linear(std::span<const double> values, bool from_zero) {
  Scale scale;
  if (values.empty()) return scale;
  const auto [least, most] = std::ranges::minmax(values);
  const double room = most > least ? 0.05 * (most - least) : std::max(1e-9, 0.1 * std::abs(most));
  scale.low_ = from_zero ? std::min(0.0, least) : least - room;
  scale.high_ = most + room;
  if (!(scale.high_ > scale.low_)) scale.high_ = scale.low_ + 1;
  return scale;
}

Scale Scale::Log(std::span<const double> values) {
  Scale scale;
  scale.log_ = true;
  double least = 0, most = 0;
  for (const double value : values) {
    if (!(value > 0)) continue;
    least = least > 0 ? std::min(least, value) : value;
    most = std::max(most, value);
  }
  if (most <= 0) least = most = 1;
  const double room = std::max(0.04, 0.06 * std::log10(most / least));
  scale.low_ = least * std::pow(10, -room);
  scale.high_ = most * std::pow(10, room);
  return scale;
}

double Scale::Place(double value) const {
  if (!log_) return (value - low_) / (high_ - low_);
  return value > 0 ? std::log(value / low_) / std::log(high_ / low_) : 0.0;
}

std::vector<std::pair<double, std::string>> Scale::Ticks(int count) const {
  std::vector<std::pair<double, std::string>> ticks;
  const auto add = [&](double value) {
    if (value >= low_ && value <= high_) ticks.emplace_back(value, NumberText(value));
  };
  if (log_) {
    const double decades = std::log10(high_ / low_);
    const int step = std::max(1, static_cast<int>(std::ceil(decades / count)));
    for (int power = static_cast<int>(std::floor(std::log10(low_))); std::pow(10, power) <= high_; ++power) {
      if (decades > 2 && power % step != 0) continue;
      for (const double digit : {1.0, 2.0, 5.0}) {
        if (digit == 1.0 || decades <= 2) add(digit * std::pow(10, power));
      }
    }
    return ticks;
  }
  const double raw = (high_ - low_) / count;
  const double power = std::pow(10, std::floor(std::log10(raw)));
  double step = 10 * power;
  for (const double digit : {5.0, 2.0, 1.0}) {
    if (digit * power >= raw) step = digit * power;
  }
  for (double i = std::ceil(low_ / step); i * step <= high_; ++i) add(i == 0 ? 0.0 : i * step);
  return ticks;
}

Panel::Panel(Axes axes, double width, double height) : axes_(std::move(axes)), width_(width), height_(height) {
  const double bottom = height_ - kBottom, right = width_ - kRight;
  for (const auto& [value, text] : axes_.y.Ticks(5)) {
    body_ += fmt::format(
        "<path class=\"grid\" d=\"M{} {:.1f}H{}\"/><text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n", kLeft,
        Y(value), right, kLeft - 6, Y(value) + 4, text);
  }
  for (const auto& [value, text] : axes_.x_ticks.empty() ? axes_.x.Ticks(5) : axes_.x_ticks) {
    body_ += fmt::format(
        "<path class=\"grid\" d=\"M{0:.1f} {1}V{2}\"/><text x=\"{0:.1f}\" y=\"{3}\" "
        "text-anchor=\"middle\">{4}</text>\n",
        X(value), kTop, bottom, bottom + 16, XmlEscaped(text));
  }
  body_ += fmt::format("<path class=\"axis\" d=\"M{} {}V{}H{}\"/>\n", kLeft, kTop, bottom, right);
}

double Panel::X(double value) const {
  return kLeft + (width_ - kLeft - kRight) * axes_.x.Place(value);
}
double Panel::Y(double value) const {
  return height_ - kBottom - (height_ - kTop - kBottom) * axes_.y.Place(value);
}

void Panel::Line(const std::vector<Point>& points, size_t series, const std::string& more_classes) {
  if (points.size() < 2) return;
  std::string path;
  for (const Point& point : points)
    path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", X(point.x), Y(point.y));
  body_ += fmt::format("<path class=\"line {} {}\" d=\"{}\"/>\n", SeriesClass(series), more_classes, path);
}

void Panel::Shape(Point point, size_t series, const std::string& tooltip) {
  body_ += fmt::format("<path class=\"mark {}\" d=\"{}\">{}</path>\n", SeriesClass(series),
                       ShapePath(series, X(point.x), Y(point.y)), Tooltip(tooltip));
}

void Panel::ErrorBar(double x, double low, double high, size_t series) {
  body_ += fmt::format("<path class=\"error {}\" d=\"M{:.1f} {:.1f}V{:.1f}\"/>\n", SeriesClass(series), X(x), Y(low),
                       Y(high));
}

void Panel::Dots(const std::vector<Point>& points, size_t series) {
  std::string path;
  for (const Point& point : points) path += fmt::format("M{:.1f} {:.1f}h0", X(point.x), Y(point.y));
  body_ += fmt::format("<path class=\"dots {}\" d=\"{}\"/>\n", SeriesClass(series), path);
}

void Panel::Bar(double x_from, double x_to, double y, size_t series, const std::string& tooltip) {
  body_ += Rectangle(X(x_from), Y(y), std::max(1.0, X(x_to) - X(x_from)), Y(0) - Y(y), "bar " + SeriesClass(series),
                     tooltip);
}

void Panel::Label(Point point, const std::string& text) {
  constexpr double kCharacter = 7.5, kLine = 10;  // of its font
  const double x = X(point.x) + 7, y = Y(point.y) - 5, width = kCharacter * static_cast<double>(text.size());
  const bool touches = std::ranges::any_of(labels_, [&](const LabelBox& other) {
    return x < other.x + other.width && other.x < x + width && std::abs(y - other.y) < kLine;
  });
  if (touches) return;
  labels_.push_back({x, y, width});
  body_ += fmt::format("<text class=\"small\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>\n", x, y, XmlEscaped(text));
}

std::string Panel::Svg(const std::string& description) const {
  const double middle = (kTop + height_ - kBottom) / 2;
  return fmt::format(
      "<svg viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" role=\"img\" aria-label=\"{2}\">\n"
      "<text class=\"title\" x=\"{3}\" y=\"16\">{4}</text>\n{5}"
      "<text x=\"{6}\" y=\"{7}\" text-anchor=\"end\">{8}</text>\n"
      "<text x=\"12\" y=\"{9}\" text-anchor=\"middle\" transform=\"rotate(-90 12 {9})\">{10}</text>\n</svg>\n",
      width_, height_, XmlEscaped(description), kLeft, XmlEscaped(axes_.title), body_, width_ - kRight, height_ - 10,
      XmlEscaped(axes_.x_label), middle, XmlEscaped(axes_.y_label));
}

std::string LegendSwatch(size_t series) {
  return fmt::format(
      "<svg width=\"30\" height=\"14\" viewBox=\"0 0 30 14\" aria-hidden=\"true\"><path class=\"line {0}\" d=\"M1 "
      "7H29\"/>"
      "<path class=\"mark {0}\" d=\"{1}\"/></svg>",
      SeriesClass(series), ShapePath(series, 15, 7));
}

std::string Rectangle(double x, double y, double width, double height, const std::string& classes,
                      const std::string& tooltip) {
  return fmt::format("<rect class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\">{}</rect>\n",
                     classes, x, y, std::max(0.0, width), std::max(0.0, height), Tooltip(tooltip));
}

}  // namespace hullft::page
