#include "tests/attacks/laboratory/chart.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

namespace bauta::laboratory {
namespace {

constexpr double kWidth = 720, kHeight = 420, kLeft = 60, kRight = 210, kTop = 40, kBottom = 50;
constexpr std::array kColours = {"#1b6ca8", "#c0392b", "#27803f", "#8e44ad", "#b9770e", "#2c3e50"};

double y_of(double similarity) {
  return kHeight - kBottom - (similarity - 0.5) / 0.5 * (kHeight - kTop - kBottom);
}

}  // namespace

std::string draw(const std::string& title, const std::vector<Curve>& curves, double limit) {
  size_t longest = 10;
  for (const Curve& curve : curves) longest = std::max(longest, curve.mean.size());
  const double decades = std::log10(static_cast<double>(longest));
  const auto x_of = [&](double answers) {
    return kLeft + std::log10(answers) / decades * (kWidth - kLeft - kRight);
  };
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" font-family=\"sans-serif\" "
      "font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
      "<text x=\"{}\" y=\"22\" font-size=\"14\">{}</text>\n",
      kWidth, kHeight, kLeft, title);
  const auto line = [&](double x0, double y0, double x1, double y1, const char* style) {
    svg += fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" {}/>\n", x0,
                       y0, x1, y1, style);
  };
  const auto text = [&](double x, double y, const std::string& words) {
    svg += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\">{}</text>\n", x, y, words);
  };
  for (int tenths = 5; tenths <= 10; ++tenths) {
    line(kLeft, y_of(tenths / 10.0), kWidth - kRight, y_of(tenths / 10.0), "stroke=\"#ddd\"");
    text(kLeft - 28, y_of(tenths / 10.0) + 4, fmt::format("{:.1f}", tenths / 10.0));
  }
  for (const double answers : {1., 10., 100., 1000.}) {
    if (answers > static_cast<double>(longest)) continue;
    line(x_of(answers), kTop, x_of(answers), kHeight - kBottom, "stroke=\"#ddd\"");
    text(x_of(answers) - 8, kHeight - kBottom + 18, fmt::format("{:.0f}", answers));
  }
  text(kLeft + 150, kHeight - 12, "answers");
  line(kLeft, y_of(limit), kWidth - kRight, y_of(limit),
       "stroke=\"black\" stroke-dasharray=\"5 4\"");
  for (size_t i = 0; i < curves.size(); ++i) {
    const char* colour = kColours[i % kColours.size()];
    svg +=
        fmt::format("<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"2\" points=\"", colour);
    for (size_t a = 0; a < curves[i].mean.size(); a += 1 + a / 50)
      svg += fmt::format("{:.1f},{:.1f} ", x_of(static_cast<double>(a + 1)),
                         y_of(std::max(curves[i].mean[a], 0.5)));
    svg += "\"/>\n";
    const double y = kTop + 10 + 20 * static_cast<double>(i);
    line(kWidth - kRight + 12, y, kWidth - kRight + 34, y,
         fmt::format("stroke=\"{}\" stroke-width=\"2\"", colour).c_str());
    text(kWidth - kRight + 40, y + 4, curves[i].name);
  }
  return svg + "</svg>\n";
}

}  // namespace bauta::laboratory
