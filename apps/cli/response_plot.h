// Response times as tables and plots for other programs.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace bauta::cli {

// Seconds; the parts add up to the round trip.
struct ResponseTime {
  size_t registrants = 0;
  double encrypt_s = 0;
  double distance_s = 0;
  double minimum_s = 0;
  double others_s = 0;
  double detect_extract_s = 0;
  double rtt_s = 0;
};

// A header line with the names of the JSON, then a line each.
std::string to_csv(const std::string& strategy, const std::vector<ResponseTime>& times);

// Round trip and parts against registrants, seconds on a logarithmic axis, with a line at 3 s.
std::string to_svg(const std::string& strategy, const std::vector<ResponseTime>& times);

}  // namespace bauta::cli
