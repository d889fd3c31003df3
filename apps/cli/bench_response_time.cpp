// The response time that a device meets, part by part, beside the figures of the paper: `bauta
// bench response-time`.

#include <algorithm>
#include <chrono>

#include "apps/cli/arguments.h"
#include "apps/cli/registrants.h"
#include "apps/cli/round_robin.h"
#include "base/file.h"
#include "match/local_tenant.h"

namespace bauta::cli {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr double kLimit_s = 3;  // what the paper calls acceptable

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// What the paper reports for its own system on 2 processors (TenSEAL, a template of 512 dimensions
// per ciphertext).
struct PaperFigure {
  size_t registrants;
  double distance_s, rtt_s;  // 0: not reported
};
constexpr PaperFigure kPaper[] = {{1, 0, 1.13},       {100, 1.612, 0}, {110, 1.741, 0},
                                  {120, 1.962, 3.10}, {130, 2.055, 0}, {140, 2.320, 0},
                                  {250, 0, 4.95}};

// The paper's method on our arithmetic. Its computations are measured in this process; everything
// else in its round trip is taken from the packed search over the network.
class RoundRobinRun {
 public:
  static Result<std::unique_ptr<RoundRobinRun>> create(size_t dimension) {
    std::unique_ptr<RoundRobinRun> run(new RoundRobinRun);
    BAUTA_TRY(match::LocalTenant tenant, match::LocalTenant::create(dimension));
    run->tenant_ = std::make_unique<match::LocalTenant>(std::move(tenant));
    BAUTA_TRY(RoundRobin method, RoundRobin::create(*run->tenant_));
    run->method_ = std::make_unique<RoundRobin>(std::move(method));
    run->dimension_ = dimension;
    return run;
  }

  Result<ResponseTime> measure(const ResponseTime& packed) {
    while (references_.size() < packed.registrants) {
      BAUTA_TRY(ckks::EvaluationCiphertext reference,
                method_->encrypt(random_template(dimension_, references_.size())));
      references_.push_back(std::move(reference));
    }
    ResponseTime time = packed;
    auto start = Clock::now();
    BAUTA_TRY(const ckks::EvaluationCiphertext probe,
              method_->encrypt(random_template(dimension_, uint64_t{1} << 40)));
    time.encrypt_s = seconds_since(start);
    start = Clock::now();
    std::vector<ckks::EvaluationCiphertext> distances;
    for (const ckks::EvaluationCiphertext& reference : references_)
      distances.push_back(method_->distance(probe, reference));
    time.distance_s = seconds_since(start);
    start = Clock::now();
    for (ckks::EvaluationCiphertext& distance : distances)
      BAUTA_CHECK(method_->decrypt(std::move(distance)));
    time.minimum_s = seconds_since(start);
    time.rtt_s =
        time.encrypt_s + time.distance_s + time.minimum_s + time.others_s + time.detect_extract_s;
    return time;
  }

 private:
  std::unique_ptr<match::LocalTenant> tenant_;
  std::unique_ptr<RoundRobin> method_;
  std::vector<ckks::EvaluationCiphertext> references_;
  size_t dimension_ = 0;
};

// --- What is printed

std::string paper_text(size_t registrants) {
  const auto text = [](double value) {
    return value > 0 ? fmt::format("{:.3f}", value) : std::string("-");
  };
  for (const PaperFigure& figure : kPaper)
    if (figure.registrants == registrants)
      return fmt::format("{:>9} {:>7}", text(figure.distance_s), text(figure.rtt_s));
  return fmt::format("{:>9} {:>7}", "-", "-");
}

// Where the round trip reaches the limit, if distances and minimum go on growing as between the
// first and the last measurement.
std::string limit_sentence(const std::vector<ResponseTime>& times) {
  const ResponseTime& last = times.back();
  if (times.size() < 2 || last.registrants == times.front().registrants) return "";
  const auto growing = [](const ResponseTime& t) { return t.distance_s + t.minimum_s; };
  const double slope = (growing(last) - growing(times.front())) /
                       static_cast<double>(last.registrants - times.front().registrants);
  if (slope * static_cast<double>(last.registrants) < 0.05)
    return fmt::format(
        "The {:.0f} s of the paper, reached there at 120 registrants, are not in sight: the round "
        "trip hardly grows up to {}.\n",
        kLimit_s, last.registrants);
  return fmt::format(
      "The {:.0f} s of the paper, reached there at 120 registrants, are reached here at about "
      "{:.0f} (a line through these figures).\n",
      kLimit_s, static_cast<double>(last.registrants) + (kLimit_s - last.rtt_s) / slope);
}

Report make_report(const BenchResponseTimeOptions& options,
                   const std::vector<ResponseTime>& times) {
  Report report;
  report.json = Json::array();
  report.text = fmt::format(
      "Seconds, medians of {} identifications, {}; the paper's own beside them.\n"
      "{:>11} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}  | paper: distance, RTT\n",
      kProbesPerCount, options.strategy, "registrants", "encrypt", "distance", "minimum", "others",
      "detect", "RTT", "RTT-det.");
  for (const ResponseTime& time : times) {
    report.json.push_back({{"registrants", time.registrants},
                           {"strategy", options.strategy},
                           {"encrypt_s", time.encrypt_s},
                           {"distance_s", time.distance_s},
                           {"minimum_s", time.minimum_s},
                           {"others_s", time.others_s},
                           {"detect_extract_s", time.detect_extract_s},
                           {"rtt_s", time.rtt_s}});
    report.text += fmt::format(
        "{:>11} {:9.4f} {:9.4f} {:9.4f} {:9.4f} {:9.4f} {:9.4f} {:9.4f}  |{}\n", time.registrants,
        time.encrypt_s, time.distance_s, time.minimum_s, time.others_s, time.detect_extract_s,
        time.rtt_s, time.rtt_s - time.detect_extract_s, paper_text(time.registrants));
  }
  report.text += limit_sentence(times);
  return report;
}

}  // namespace

Result<Report> bench_response_time(const CommonOptions&, const BenchResponseTimeOptions& options) {
  std::vector<size_t> counts = options.registrants;
  std::sort(counts.begin(), counts.end());
  BAUTA_TRY(const std::unique_ptr<ServedDeployment> deployment,
            ServedDeployment::start(options.engine, options.detector));
  const fs::path folder =
      options.images.empty() ? fs::path(BAUTA_SOURCE_DIR) / "examples/people" : options.images;
  BAUTA_TRY(const std::unique_ptr<Registrants> registrants,
            options.dimension > 0 ? register_by_templates(*deployment, options.dimension)
                                  : register_by_images(*deployment, folder));
  std::unique_ptr<RoundRobinRun> round_robin;
  if (options.strategy == "round-robin") {
    BAUTA_TRY(round_robin, RoundRobinRun::create(registrants->dimension()));
  }

  std::vector<ResponseTime> times;
  for (const size_t count : counts) {
    BAUTA_CHECK(registrants->grow_to(count));
    BAUTA_TRY(ResponseTime time, registrants->measure());
    if (round_robin != nullptr) {
      BAUTA_TRY(time, round_robin->measure(time));
    }
    times.push_back(time);
  }
  if (!options.csv.empty())
    BAUTA_CHECK(write_file_atomically(options.csv, as_bytes(to_csv(options.strategy, times))));
  if (!options.svg.empty())
    BAUTA_CHECK(write_file_atomically(options.svg, as_bytes(to_svg(options.strategy, times))));
  Report report = make_report(options, times);
  report.text += registrants->description();
  if (round_robin != nullptr)
    report.text +=
        "The round robin's computations run on one thread of one process, on our arithmetic; the "
        "rest "
        "of its round trip is that of the packed search.\n";
  return report;
}

}  // namespace bauta::cli
