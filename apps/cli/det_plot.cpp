#include "apps/cli/det_plot.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace bauta::cli {
namespace {

constexpr double kSide = 400, kLeft = 60, kTop = 40, kMargin = 40;  // pixels

// Of a logarithmic axis from `least` to 1.
double share(double rate, double least) {
  return std::log(std::clamp(rate, least, 1.0) / least) / -std::log(least);
}

}  // namespace

std::string det_svg(std::string_view title, std::span<const OpenSetRates> points, double threshold,
                    double least) {
  const auto x = [&](double fpir) { return kLeft + kSide * share(fpir, least); };
  const auto y = [&](double fnir) { return kTop + kSide * (1 - share(fnir, least)); };
  std::string grid, curve, marked;
  for (double rate = 1; rate >= least * 0.999; rate /= 10) {
    grid += fmt::format(
        "<path d=\"M{0:.1f} {1} V{2} M{3} {4:.1f} H{5}\" stroke=\"#ddd\"/>\n"
        "<text x=\"{0:.1f}\" y=\"{6}\" text-anchor=\"middle\">{7:g}</text>\n"
        "<text x=\"{8}\" y=\"{4:.1f}\" text-anchor=\"end\">{7:g}</text>\n",
        x(rate), kTop, kTop + kSide, kLeft, y(rate), kLeft + kSide, kTop + kSide + 18, rate,
        kLeft - 6);
  }
  for (const OpenSetRates& point : points) {
    curve += fmt::format("{:.1f},{:.1f} ", x(point.fpir), y(point.fnir));
    if (point.threshold == threshold)
      marked = fmt::format(
          "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\" fill=\"none\" stroke=\"#c00\"/>\n",
          x(point.fpir), y(point.fnir));
  }
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\" "
      "font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" "
      "fill=\"#fff\"/>\n<text x=\"{}\" y=\"20\">{}: FNIR (up) against FPIR; circle: threshold "
      "{:.3f}</text>\n{}<polyline points=\"{}\" fill=\"none\" stroke=\"#06c\" "
      "stroke-width=\"2\"/>\n{}</svg>\n",
      kLeft + kSide + kMargin, kTop + kSide + kMargin, kLeft, title, threshold, grid, curve,
      marked);
}

}  // namespace bauta::cli
