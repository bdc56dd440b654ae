// Writes SVG by hand: a plot needs five kinds of elements, and its text should be stable and readable.
#include "Chart.h"
#include <cmath>
#include <fmt/format.h>

namespace bpt {

std::string xmlText(const std::string &text) {
  std::string result;
  for (char c : text) {
    if (c == '&')
      result += "&amp;";
    else if (c == '<')
      result += "&lt;";
    else if (c == '>')
      result += "&gt;";
    else if (c == '"')
      result += "&quot;";
    else if (static_cast<unsigned char>(c) >= 0x20 || c == '\n')
      result += c;
  }
  return result;
}

std::vector<double> roundTicks(double least, double most, int count) {
  double raw = (most - least) / count;
  if (!(raw > 0) || !std::isfinite(raw))
    return {least};
  double power = std::pow(10, std::floor(std::log10(raw)));
  double step = 10 * power;
  for (double factor : {1.0, 2.0, 5.0})
    if (factor * power >= raw * 0.999) {
      step = factor * power;
      break;
    }
  std::vector<double> ticks;
  auto first = static_cast<int64_t>(std::floor(least / step + 1e-9));
  auto last = static_cast<int64_t>(std::ceil(most / step - 1e-9));
  for (int64_t i = first; i <= last; ++i)
    ticks.push_back(static_cast<double>(i) * step);
  return ticks;
}

Chart::Chart(const std::string &title, Frame frame, std::pair<double, double> xs, std::pair<double, double> ys)
    : box(frame), xs(xs), ys(ys) {
  if (this->xs.second <= this->xs.first)
    this->xs.second = this->xs.first + 1;
  if (this->ys.second <= this->ys.first)
    this->ys.second = this->ys.first + 1;
  body = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:g} {1:g}\" width=\"{0:g}\" height=\"{1:g}\" "
      "role=\"img\">\n"
      "<title>{2}</title>\n"
      "<style>text{{font:12px system-ui,sans-serif;fill:#333}} .h{{font-size:16px;font-weight:600}} "
      ".b{{font-weight:600}} "
      ".g{{stroke:#e4e4e4}} .d{{stroke-dasharray:5 4;fill:none}} .l{{fill:none;stroke-linejoin:round}}</style>\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
      "<text class=\"h\" x=\"{3:g}\" y=\"28\">{2}</text>\n",
      box.width, box.height, xmlText(title), box.left);
}

double Chart::px(double x) const {
  return box.left + (x - xs.first) / (xs.second - xs.first) * (box.width - box.left - box.right);
}

double Chart::py(double y) const {
  return box.height - box.bottom - (y - ys.first) / (ys.second - ys.first) * (box.height - box.top - box.bottom);
}

void Chart::xAxis(const std::string &name, const std::vector<std::pair<double, std::string>> &ticks) {
  double floor = box.height - box.bottom;
  for (const auto &[value, text] : ticks)
    body += fmt::format("<line class=\"g\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.1f}\" y2=\"{2:.1f}\"/>"
                        "<text x=\"{0:.1f}\" y=\"{3:.1f}\" text-anchor=\"middle\">{4}</text>\n",
                        px(value), box.top, floor, floor + 18, xmlText(text));
  body += fmt::format("<line x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"#333\"/>", box.left,
                      box.width - box.right, floor, floor);
  body += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>\n",
                      (box.left + box.width - box.right) / 2, floor + 40, xmlText(name));
}

void Chart::yAxis(const std::string &name, const std::vector<std::pair<double, std::string>> &ticks) {
  for (const auto &[value, text] : ticks)
    body += fmt::format("<line class=\"g\" x1=\"{0:.1f}\" x2=\"{1:.1f}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\"/>"
                        "<text x=\"{3:.1f}\" y=\"{4:.1f}\" text-anchor=\"end\">{5}</text>\n",
                        box.left, box.width - box.right, py(value), box.left - 8, py(value) + 4, xmlText(text));
  body += fmt::format("<line x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.1f}\" y2=\"{2:.1f}\" stroke=\"#333\"/>", box.left,
                      box.top, box.height - box.bottom);
  double middle = (box.top + box.height - box.bottom) / 2;
  body += fmt::format(
      "<text x=\"18\" y=\"{0:.1f}\" text-anchor=\"middle\" transform=\"rotate(-90 18 {0:.1f})\">{1}</text>\n", middle,
      xmlText(name));
}

void Chart::line(const Points &points, const std::string &colour, double width, double opacity) {
  body += fmt::format("<polyline class=\"l\" stroke=\"{}\" stroke-width=\"{:g}\" stroke-opacity=\"{:g}\" points=\"",
                      colour, width, opacity);
  for (auto [x, y] : points)
    body += fmt::format("{:.1f},{:.1f} ", px(x), py(y));
  body += "\"/>\n";
}

void Chart::area(const Points &outline, const std::string &colour) {
  body += fmt::format("<polygon fill=\"{}\" points=\"", colour);
  for (auto [x, y] : outline)
    body += fmt::format("{:.1f},{:.1f} ", px(x), py(y));
  body += "\"/>\n";
}

void Chart::dot(double x, double y, double radius, const std::string &colour, const std::string &hover) {
  body += fmt::format(
      "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{:g}\" fill=\"{}\" fill-opacity=\"{}\"><title>{}</title></circle>\n",
      px(x), py(y), radius > 0 ? radius : 6, colour, radius > 0 ? 1 : 0, xmlText(hover));
}

void Chart::hoverColumn(double x0, double x1, const std::string &hover) {
  body += fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" "
                      "fill-opacity=\"0\"><title>{}</title></rect>\n",
                      px(x0), box.top, px(x1) - px(x0), box.height - box.top - box.bottom, xmlText(hover));
}

void Chart::horizontal(double y, const std::string &colour) {
  body +=
      fmt::format("<line class=\"d\" x1=\"{0:.1f}\" x2=\"{1:.1f}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\" stroke=\"{3}\"/>\n",
                  box.left, box.width - box.right, py(y), colour);
}

void Chart::vertical(double x, const std::string &colour) {
  body +=
      fmt::format("<line class=\"d\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.1f}\" y2=\"{2:.1f}\" stroke=\"{3}\"/>\n",
                  px(x), box.top, box.height - box.bottom, colour);
}

void Chart::label(double x, double y, const std::string &text, const std::string &anchor) {
  body += fmt::format("<text class=\"b\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", px(x), py(y) - 6,
                      anchor, xmlText(text));
}

void Chart::legend(double x, double y, const std::string &colour, const std::string &text) {
  body +=
      fmt::format("<rect x=\"{:g}\" y=\"{:g}\" width=\"12\" height=\"12\" rx=\"2\" fill=\"{}\"/>", x, y - 10, colour);
  note(x + 18, y, text);
}

void Chart::note(double x, double y, const std::string &text, bool strong) {
  body += fmt::format("<text x=\"{:g}\" y=\"{:g}\"{}>{}</text>\n", x, y, strong ? " class=\"b\"" : "", xmlText(text));
}

} // namespace bpt
