#include "services/linkage/response_times.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <httplib.h>

#include "base/clock.h"

namespace bauta::linkage {
namespace {

constexpr size_t kKept = 600;
constexpr size_t kMaxPage_bytes = size_t{1} << 20;
constexpr time_t kTimeout_s = 1;
constexpr std::string_view kMetric = "bauta_recognition_seconds";

// The value of kMetric + suffix for that part.
std::optional<double> find_value(std::string_view page, std::string_view suffix,
                                 std::string_view part) {
  const std::string name = fmt::format("{}{}{{", kMetric, suffix);
  const std::string label = fmt::format("part=\"{}\"", part);
  for (size_t begin = 0; begin < page.size();) {
    const size_t end = std::min(page.find('\n', begin), page.size());
    const std::string_view line = page.substr(begin, end - begin);
    begin = end + 1;
    const size_t labels_end = line.find("} ");
    if (!line.starts_with(name) || labels_end == std::string_view::npos ||
        line.substr(0, labels_end).find(label) == std::string_view::npos)
      continue;
    const std::string_view number = line.substr(labels_end + 2);
    double value = 0;
    const auto read = std::from_chars(number.data(), number.data() + number.size(), value);
    if (read.ec == std::errc() && std::isfinite(value) && value >= 0) return value;
  }
  return std::nullopt;
}

Result<std::string> fetch(const std::string& address) {
  httplib::Client client("http://" + address);
  client.set_connection_timeout(kTimeout_s);
  client.set_read_timeout(kTimeout_s);
  std::string page;
  const httplib::Result reply = client.Get("/metrics", [&](const char* bytes, size_t count) {
    page.append(bytes, count);
    return page.size() <= kMaxPage_bytes;
  });
  if (reply && reply->status == 200) return page;
  return make_error(ErrorCode::unavailable, "the edge shows no metrics at {}", address);
}

}  // namespace

Status ResponseTimes::sample() {
  BAUTA_TRY(const std::string page, fetch(metrics_));
  return sample(page, now_ms());
}

Result<ResponseTimes::Totals> ResponseTimes::read(std::string_view page) {
  Totals totals;
  const struct {
    const char* suffix;
    const char* part;
    double* into;
  } values[] = {{"_count", "total", &totals.recognitions},
                {"_sum", "total", &totals.total_s},
                {"_sum", "encrypt", &totals.encryption_s},
                {"_sum", "match", &totals.distances_s},
                {"_sum", "decide", &totals.minimum_s}};
  if (page.find(kMetric) == std::string_view::npos) return totals;  // nobody was recognised yet
  for (const auto& value : values) {
    const std::optional<double> found = find_value(page, value.suffix, value.part);
    if (!found)
      return make_error(ErrorCode::invalid_argument, "the metrics lack {} of part {}", kMetric,
                        value.part);
    *value.into = *found;
  }
  return totals;
}

Status ResponseTimes::sample(std::string_view page, int64_t time_ms) {
  BAUTA_TRY(const Totals now, read(page));
  std::lock_guard lock(mutex_);
  // Parts are counted before their total: what is not yet in the total counts with the next sample.
  if (last_ && now.recognitions == last_->recognitions) return {};
  const bool anew = last_ && now.recognitions < last_->recognitions;
  const std::optional<Totals> before = anew ? Totals() : last_;
  last_ = now;
  if (!before || now.recognitions == 0) return {};
  const double count = now.recognitions - before->recognitions;
  const auto mean_ms = [&](double Totals::*sum_s) {
    return std::max(0.0, (now.*sum_s - (*before).*sum_s) * 1000 / count);
  };
  ResponseTime time{time_ms, static_cast<uint64_t>(count), mean_ms(&Totals::encryption_s),
                    mean_ms(&Totals::distances_s), mean_ms(&Totals::minimum_s)};
  time.others_ms = std::max(
      0.0, mean_ms(&Totals::total_s) - time.encryption_ms - time.distances_ms - time.minimum_ms);
  times_.push_back(time);
  if (times_.size() > kKept) times_.pop_front();
  return {};
}

std::vector<ResponseTime> ResponseTimes::newest() const {
  std::lock_guard lock(mutex_);
  return {times_.begin(), times_.end()};
}

}  // namespace bauta::linkage
