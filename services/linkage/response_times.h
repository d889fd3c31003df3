// How long recognitions at one engine take, by the parts of the published response times: sampled
// from the metrics of that engine's edge (docs/operations/services.md), and kept in memory.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bauta::linkage {

// Means over the recognitions between two samples. Finding the face, extracting its features and
// transport are among the others.
struct ResponseTime {
  int64_t time_ms = 0;  // of the later sample
  uint64_t recognitions = 0;
  double encryption_ms = 0, distances_ms = 0, minimum_ms = 0, others_ms = 0;
};

// Thread-safe.
class ResponseTimes {
 public:
  // metrics: HOST:PORT of the edge's metrics; empty: nothing is measured.
  explicit ResponseTimes(std::string metrics) : metrics_(std::move(metrics)) {}

  bool measured() const { return !metrics_.empty(); }
  // Asks the edge. Error unavailable: it does not answer.
  Status sample();
  // The same from a page in Prometheus' text format. A page on which less was counted than on the
  // one before is of an edge that was started anew. Error invalid_argument: it has no such times.
  Status sample(std::string_view page, int64_t time_ms);

  // The newest, oldest first.
  std::vector<ResponseTime> newest() const;

 private:
  // What was counted since the edge's start: recognitions, and seconds of each part.
  struct Totals {
    double recognitions = 0, total_s = 0, encryption_s = 0, distances_s = 0, minimum_s = 0;
  };
  static Result<Totals> read(std::string_view page);

  const std::string metrics_;
  mutable std::mutex mutex_;  // guards what follows
  std::optional<Totals> last_;
  std::deque<ResponseTime> times_;
};

}  // namespace bauta::linkage
