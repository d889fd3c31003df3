#include "apps/cli/response_plot.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace bauta::cli {
namespace {

constexpr double kWidth = 760, kHeight = 420, kLeft = 70, kRight = 190, kTop = 40, kBottom = 50;
constexpr double kLeast_s = 1e-4, kMost_s = 10;
constexpr const char* kDistanceColour = "#d55e00";
constexpr const char* kRoundTripColour = "#000000";

struct Curve {
  const char* name;
  const char* colour;
  double ResponseTime::*value;
};
constexpr Curve kCurves[] = {{"round trip", kRoundTripColour, &ResponseTime::rtt_s},
                             {"detection, extraction", "#999999", &ResponseTime::detect_extract_s},
                             {"distances", kDistanceColour, &ResponseTime::distance_s},
                             {"minimum", "#0072b2", &ResponseTime::minimum_s},
                             {"encryption", "#009e73", &ResponseTime::encrypt_s},
                             {"others", "#cc79a7", &ResponseTime::others_s}};

// One strategy's plot, drawn at the origin.
class Panel {
 public:
  explicit Panel(std::span<const ResponseTime> times)
      : times_(times),
        most_(static_cast<double>(std::max<size_t>(times.back().registrants, 2))),
        logarithmic_(most_ > 2000) {}

  std::string draw() const {
    std::string svg = fmt::format(
        "<text x=\"{}\" y=\"20\">Response time in seconds against registrants, {}; circles: the "
        "paper</text>\n",
        kLeft, times_.front().strategy);
    for (double decade = kLeast_s; decade <= kMost_s * 1.01; decade *= 10)
      svg += line(decade, "#ddd", "") +
             fmt::format("<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{:g}</text>\n", kLeft - 6,
                         y_of(decade) + 4, decade);
    svg += line(kLimit_s, "#c00", "6 4") +
           fmt::format("<text x=\"{}\" y=\"{:.1f}\" fill=\"#c00\">{:g} s</text>\n",
                       kWidth - kRight + 6, y_of(kLimit_s) + 4, kLimit_s);
    double last_label = -1000;
    for (const ResponseTime& t : times_) {
      const double x = x_of(t.registrants);
      if (x < last_label + 36) continue;
      last_label = x;
      svg += fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n", x,
                         kHeight - kBottom + 18, t.registrants);
    }
    for (size_t c = 0; c < std::size(kCurves); ++c) svg += draw(kCurves[c], c);
    for (const PaperFigure& figure : kPaper) {
      if (static_cast<double>(figure.registrants) > most_) continue;
      svg += circle(figure.registrants, figure.distance_s, kDistanceColour);
      svg += circle(figure.registrants, figure.rtt_s, kRoundTripColour);
    }
    return svg;
  }

 private:
  double x_of(size_t registrants) const {
    const auto count = static_cast<double>(registrants);
    const double share = logarithmic_ ? std::log(count) / std::log(most_) : count / most_;
    return kLeft + share * (kWidth - kLeft - kRight);
  }
  static double y_of(double seconds) {
    const double share = std::log10(std::clamp(seconds, kLeast_s, kMost_s) / kLeast_s) /
                         std::log10(kMost_s / kLeast_s);
    return kHeight - kBottom - share * (kHeight - kTop - kBottom);
  }

  static std::string line(double seconds, const char* colour, const char* dashes) {
    return fmt::format(
        "<line x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\" "
        "stroke-dasharray=\"{}\"/>\n",
        kLeft, kWidth - kRight, y_of(seconds), y_of(seconds), colour, dashes);
  }
  std::string circle(size_t registrants, double seconds, const char* colour) const {
    if (seconds <= 0) return "";
    return fmt::format(
        "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\" fill=\"none\" stroke=\"{}\"/>\n",
        x_of(registrants), y_of(seconds), colour);
  }
  std::string draw(const Curve& curve, size_t number) const {
    std::string points;
    for (const ResponseTime& t : times_)
      points += fmt::format("{:.1f},{:.1f} ", x_of(t.registrants), y_of(t.*curve.value));
    return fmt::format(
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"/><text x=\"{}\" "
        "y=\"{}\" fill=\"{}\">{}</text>\n",
        points, curve.colour, kWidth - kRight + 16, kTop + 100 + 18 * static_cast<double>(number),
        curve.colour, curve.name);
  }

  const std::span<const ResponseTime> times_;
  const double most_;
  const bool logarithmic_;
};

}  // namespace

const PaperFigure* paper_figure(size_t registrants) {
  const auto found = std::ranges::find(kPaper, registrants, &PaperFigure::registrants);
  return found == std::end(kPaper) ? nullptr : &*found;
}

std::string to_csv(std::span<const ResponseTime> times) {
  std::string csv =
      "registrants,strategy,encrypt_s,distance_s,minimum_s,others_s,detect_extract_s,rtt_s,"
      "rtt_without_detection_s\n";
  for (const ResponseTime& t : times)
    csv += fmt::format("{},{},{:.6f},{:.6f},{:.6f},{:.6f},{:.6f},{:.6f},{:.6f}\n", t.registrants,
                       t.strategy, t.encrypt_s, t.distance_s, t.minimum_s, t.others_s,
                       t.detect_extract_s, t.rtt_s, t.rtt_without_detection_s);
  return csv;
}

std::string to_svg(std::span<const ResponseTime> times) {
  std::string panels;
  double height = 0;
  while (!times.empty()) {
    const auto next = std::ranges::find_if(
        times, [&](const ResponseTime& t) { return t.strategy != times.front().strategy; });
    const auto count = static_cast<size_t>(next - times.begin());
    panels += fmt::format("<g transform=\"translate(0 {})\">\n{}</g>\n", height,
                          Panel(times.first(count)).draw());
    times = times.subspan(count);
    height += kHeight;
  }
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\" "
      "font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" "
      "fill=\"#fff\"/>\n{}</svg>\n",
      kWidth, height, panels);
}

}  // namespace bauta::cli
