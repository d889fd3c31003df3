// Similarity against answers, as an SVG.
#pragma once

#include <string>
#include <vector>

namespace bauta::laboratory {

struct Curve {
  std::string name;
  std::vector<double> mean;  // after each answer
};

// Answers on a logarithmic axis from 1 to the longest curve, similarity from 0.5 to 1; a line at
// `limit`.
std::string draw(const std::string& title, const std::vector<Curve>& curves, double limit);

}  // namespace bauta::laboratory
