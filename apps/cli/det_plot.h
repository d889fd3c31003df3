// The errors of an open-set identification against each other, as a drawing.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace bauta::cli {

struct OpenSetRates {
  double threshold = 0;
  double fpir = 0, fnir = 0;
};

// FNIR against FPIR, both on logarithmic axes from 1 down to `least`: rates below it, 0 among them,
// lie on the edge. Points in the order of their thresholds; the one at `threshold`, if there is
// one, is marked.
std::string det_svg(std::string_view title, std::span<const OpenSetRates> points, double threshold,
                    double least);

}  // namespace bauta::cli
