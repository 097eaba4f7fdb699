// One panel of a figure as inline SVG: axes, lines, points, bars. Colours and fonts come from the page's style sheet
// (style.h): class s0, s1, ... is a series, and each series has a shape and a dash of its own, so that colour is never
// the only difference. Thread safety: one thread per object.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace hullft::page {

struct Point {
  double x = 0, y = 0;
};

// Maps values to 0 (low) to 1 (high). A logarithmic scale needs positive values.
class Scale {
 public:
  // Over all values, with a little room; without values from 0 to 1.
  static Scale Linear(std::span<const double> values, bool from_zero = false);
  static Scale Log(std::span<const double> values);

  double Place(double value) const;
  double low() const { return low_; }
  double high() const { return high_; }
  // Round numbers inside, about `count` of them, with their texts.
  std::vector<std::pair<double, std::string>> Ticks(int count) const;

 private:
  double low_ = 0, high_ = 1;
  bool log_ = false;
};

struct Axes {
  std::string title, x_label, y_label;
  Scale x, y;
  std::vector<std::pair<double, std::string>> x_ticks;  // empty: the scale's own
};

class Panel {
 public:
  // Sizes in pixels, at which the text is readable.
  Panel(Axes axes, double width = 360, double height = 260);

  void Line(const std::vector<Point>& points, size_t series, const std::string& more_classes = "");
  // The series' shape at each point, with a tooltip.
  void Shape(Point point, size_t series, const std::string& tooltip);
  void ErrorBar(double x, double low, double high, size_t series);
  // Thousands of small dots in little space.
  void Dots(const std::vector<Point>& points, size_t series);
  // From zero up to y.
  void Bar(double x_from, double x_to, double y, size_t series, const std::string& tooltip);
  // Nothing where it would lie on an earlier one.
  void Label(Point point, const std::string& text);

  // description: the figure in a sentence, for those who do not see it.
  std::string Svg(const std::string& description) const;

 private:
  double X(double value) const;
  double Y(double value) const;

  struct LabelBox {
    double x, y, width;
  };

  const Axes axes_;
  const double width_, height_;
  std::vector<LabelBox> labels_;
  std::string body_;
};

// The series' shape and dash as a small picture for a legend.
std::string LegendSwatch(size_t series);
// A rectangle; sizes in pixels.
std::string Rectangle(double x, double y, double width, double height, const std::string& classes,
                      const std::string& tooltip);

}  // namespace hullft::page
