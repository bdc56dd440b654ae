// Axes, ticks, lines and areas of a small SVG chart: what the loss and memory plots share.
#pragma once
#include <string>
#include <utility>
#include <vector>

namespace bpt {

/// `text` for the inside of an XML element or attribute; control characters are dropped.
std::string xmlText(const std::string &text);

/// About `count` round numbers (1, 2 or 5 times a power of ten) that cover [least, most].
std::vector<double> roundTicks(double least, double most, int count);

/// A chart with linear axes. Points are (x, y) in the units of the axes; what is added later is drawn above.
class Chart {
public:
  struct Frame {
    double width = 880, height = 480;
    double left = 76, right = 24, top = 52, bottom = 56;
  };
  using Points = std::vector<std::pair<double, double>>;

  /// `xs` and `ys` are the ranges of the axes.
  Chart(const std::string &title, Frame frame, std::pair<double, double> xs, std::pair<double, double> ys);

  /// Grid, tick labels (`ticks` with their texts) and the name of an axis.
  void xAxis(const std::string &name, const std::vector<std::pair<double, std::string>> &ticks);
  void yAxis(const std::string &name, const std::vector<std::pair<double, std::string>> &ticks);

  void line(const Points &points, const std::string &colour, double width, double opacity = 1);
  /// A filled area between a closed outline of points.
  void area(const Points &outline, const std::string &colour);
  /// A dot with a text that appears on hovering; radius 0 only reacts to the pointer.
  void dot(double x, double y, double radius, const std::string &colour, const std::string &hover);
  /// An invisible column [x0, x1] over the whole height with a text that appears on hovering.
  void hoverColumn(double x0, double x1, const std::string &hover);
  /// A dashed line over the whole width at `y`, or height at `x`.
  void horizontal(double y, const std::string &colour);
  void vertical(double x, const std::string &colour);
  /// Text at chart coordinates; `anchor` is start, middle or end.
  void label(double x, double y, const std::string &text, const std::string &anchor = "start");
  /// A coloured square and a text at pixel coordinates.
  void legend(double px, double py, const std::string &colour, const std::string &text);
  /// Text at pixel coordinates.
  void note(double px, double py, const std::string &text, bool strong = false);

  const Frame &frame() const { return box; }
  /// The whole document.
  std::string svg() const { return body + "</svg>\n"; }

private:
  double px(double x) const;
  double py(double y) const;

  Frame box;
  std::pair<double, double> xs, ys;
  std::string body;
};

} // namespace bpt
