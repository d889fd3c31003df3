// Response times as tables and plots for other programs, and the figures of the paper that they
// stand beside.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace bauta::cli {

// Seconds; the parts add up to the round trip, but for medians of each.
struct ResponseTime {
  std::string strategy;
  size_t registrants = 0;
  double encrypt_s = 0;
  double distance_s = 0;
  double minimum_s = 0;
  double others_s = 0;
  double detect_extract_s = 0;
  double rtt_s = 0;
  double rtt_without_detection_s = 0;  // and without extraction
};

// What the paper reports for its own system on 2 processors (FRIP: TenSEAL, a template of 512
// dimensions per ciphertext, a real network).
struct PaperFigure {
  size_t registrants;
  double distance_s, rtt_s;  // 0: not reported
};
inline constexpr PaperFigure kPaper[] = {{1, 0, 1.13},       {100, 1.612, 0}, {110, 1.741, 0},
                                         {120, 1.962, 3.10}, {130, 2.055, 0}, {140, 2.320, 0},
                                         {250, 0, 4.95}};
inline constexpr double kLimit_s = 3;  // what the paper calls acceptable

// Null when the paper says nothing about so many.
const PaperFigure* paper_figure(size_t registrants);

// A header line with the names of the JSON, then a line each.
std::string to_csv(std::span<const ResponseTime> times);

// For each strategy a plot of the round trip and its parts against registrants, seconds on a
// logarithmic axis, with a line at 3 s and the paper's figures as circles. Precondition: times of
// one strategy stand together, in the order of registrants.
std::string to_svg(std::span<const ResponseTime> times);

}  // namespace bauta::cli
