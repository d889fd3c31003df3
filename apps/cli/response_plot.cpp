#include "apps/cli/response_plot.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace bauta::cli {
namespace {

constexpr double kWidth = 720, kHeight = 420, kLeft = 70, kRight = 150, kTop = 40, kBottom = 50;
constexpr double kLeast_s = 1e-4, kMost_s = 10;

struct Curve {
  const char* name;
  const char* colour;
  double ResponseTime::*value;
};
constexpr Curve kCurves[] = {{"round trip", "#000000", &ResponseTime::rtt_s},
                             {"detect+extract", "#999999", &ResponseTime::detect_extract_s},
                             {"distances", "#d55e00", &ResponseTime::distance_s},
                             {"minimum", "#0072b2", &ResponseTime::minimum_s},
                             {"encryption", "#009e73", &ResponseTime::encrypt_s},
                             {"others", "#cc79a7", &ResponseTime::others_s}};

double y_of(double seconds) {
  const double share = std::log10(std::clamp(seconds, kLeast_s, kMost_s) / kLeast_s) /
                       std::log10(kMost_s / kLeast_s);
  return kHeight - kBottom - share * (kHeight - kTop - kBottom);
}

}  // namespace

std::string to_csv(const std::string& strategy, const std::vector<ResponseTime>& times) {
  std::string csv =
      "registrants,strategy,encrypt_s,distance_s,minimum_s,others_s,detect_extract_s,rtt_s\n";
  for (const ResponseTime& t : times)
    csv += fmt::format("{},{},{:.6f},{:.6f},{:.6f},{:.6f},{:.6f},{:.6f}\n", t.registrants, strategy,
                       t.encrypt_s, t.distance_s, t.minimum_s, t.others_s, t.detect_extract_s,
                       t.rtt_s);
  return csv;
}

std::string to_svg(const std::string& strategy, const std::vector<ResponseTime>& times) {
  const double most = static_cast<double>(std::max<size_t>(times.back().registrants, 2));
  const auto x_of = [&](size_t registrants) {
    return kLeft + static_cast<double>(registrants) / most * (kWidth - kLeft - kRight);
  };
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\" "
      "font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" "
      "fill=\"#fff\"/>\n<text x=\"{}\" y=\"20\">Response time in seconds against registrants, {}"
      "</text>\n",
      kWidth, kHeight, kLeft, strategy);
  for (double decade = kLeast_s; decade <= kMost_s * 1.01; decade *= 10)
    svg += fmt::format(
        "<line x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"#ddd\"/><text x=\"{}\" "
        "y=\"{:.1f}\" text-anchor=\"end\">{:g}</text>\n",
        kLeft, kWidth - kRight, y_of(decade), y_of(decade), kLeft - 6, y_of(decade) + 4, decade);
  svg += fmt::format(
      "<line x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"#c00\" "
      "stroke-dasharray=\"6 4\"/><text x=\"{}\" y=\"{:.1f}\" fill=\"#c00\">3 s</text>\n",
      kLeft, kWidth - kRight, y_of(3), y_of(3), kWidth - kRight + 6, y_of(3) + 4);
  for (const ResponseTime& t : times)
    svg += fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n",
                       x_of(t.registrants), kHeight - kBottom + 18, t.registrants);
  for (size_t c = 0; c < std::size(kCurves); ++c) {
    const Curve& curve = kCurves[c];
    std::string points;
    for (const ResponseTime& t : times)
      points += fmt::format("{:.1f},{:.1f} ", x_of(t.registrants), y_of(t.*curve.value));
    const double key_y = kTop + 70 + 18 * static_cast<double>(c);
    svg += fmt::format(
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"/><text x=\"{}\" "
        "y=\"{}\" fill=\"{}\">{}</text>\n",
        points, curve.colour, kWidth - kRight + 16, key_y, curve.colour, curve.name);
  }
  return svg + "</svg>\n";
}

}  // namespace bauta::cli
