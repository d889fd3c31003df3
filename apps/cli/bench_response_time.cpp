// The response time that a device meets, part by part, beside the figures of the paper: `bauta
// bench response-time`.

#include <algorithm>
#include <chrono>

#include "apps/cli/arguments.h"
#include "apps/cli/demo_people.h"
#include "apps/cli/registrants.h"
#include "apps/cli/round_robin.h"
#include "base/file.h"
#include "match/gallery.h"
#include "match/local_tenant.h"

namespace bauta::cli {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr const char* kRoundRobin = "round-robin";
constexpr int kRoundRobinRuns = 3;
// Two ciphertexts of 64 KiB each; and a linear growth is seen long before.
constexpr size_t kMaxRoundRobin = 16'384;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

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

  // The fastest of some runs: others work on this machine too, and there is one probe.
  Result<ResponseTime> measure(const ResponseTime& packed) {
    while (references_.size() < packed.registrants) {
      BAUTA_TRY(ckks::EvaluationCiphertext reference,
                method_->encrypt(random_template(dimension_, references_.size())));
      references_.push_back(std::move(reference));
    }
    ResponseTime least;
    for (int run = 0; run < kRoundRobinRuns; ++run) {
      BAUTA_TRY(const ResponseTime time, measure_once(packed));
      if (run == 0 || time.rtt_s < least.rtt_s) least = time;
    }
    return least;
  }

 private:
  Result<ResponseTime> measure_once(const ResponseTime& packed) const {
    ResponseTime time = packed;
    time.strategy = kRoundRobin;
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
    time.rtt_without_detection_s =
        time.encrypt_s + time.distance_s + time.minimum_s + time.others_s;
    time.rtt_s = time.rtt_without_detection_s + time.detect_extract_s;
    return time;
  }

  std::unique_ptr<match::LocalTenant> tenant_;
  std::unique_ptr<RoundRobin> method_;
  std::vector<ckks::EvaluationCiphertext> references_;
  size_t dimension_ = 0;
};

// --- What is printed

std::string number_or_dash(double value) {
  return value > 0 ? fmt::format("{:.3f}", value) : "-";
}
Json number_or_null(double value) {
  return value > 0 ? Json(value) : Json();
}

// Where the round trip reaches the limit: between two measurements, or beyond the last on the line
// through the first and the last. Precondition: times of one strategy, at least one.
std::string limit_sentence(std::span<const ResponseTime> times) {
  const ResponseTime &first = times.front(), &last = times.back();
  const std::string start = fmt::format(
      "{}: the {:g} s that the paper reaches at 120 registrants are ", last.strategy, kLimit_s);
  if (first.rtt_s >= kLimit_s) return start + fmt::format("exceeded at {}.\n", first.registrants);
  for (size_t i = 1; i < times.size(); ++i)
    if (times[i].rtt_s >= kLimit_s) {
      const ResponseTime &below = times[i - 1], &above = times[i];
      const double share = (kLimit_s - below.rtt_s) / (above.rtt_s - below.rtt_s);
      const auto between = static_cast<double>(above.registrants - below.registrants);
      return start + fmt::format("crossed at about {:.0f}, between {} and {} registrants.\n",
                                 static_cast<double>(below.registrants) + share * between,
                                 below.registrants, above.registrants);
    }
  const auto growing = [](const ResponseTime& t) { return t.distance_s + t.minimum_s; };
  const double slope =
      (growing(last) - growing(first)) /
      static_cast<double>(std::max<size_t>(last.registrants - first.registrants, 1));
  if (slope * static_cast<double>(last.registrants) < 0.05)
    return start +
           fmt::format("not in sight: the round trip hardly grows up to {}.\n", last.registrants);
  const double crossed = static_cast<double>(last.registrants) + (kLimit_s - last.rtt_s) / slope;
  return start + fmt::format(
                     "not reached up to {}; a line through these figures reaches them at "
                     "about {:.2g}{}.\n",
                     last.registrants, crossed,
                     crossed > static_cast<double>(match::kMaxSlots)
                         ? fmt::format(", more than a gallery holds ({})", match::kMaxSlots)
                         : "");
}

Json to_json(const ResponseTime& time, size_t dimension) {
  const PaperFigure* const paper = paper_figure(time.registrants);
  return {{"registrants", time.registrants},
          {"strategy", time.strategy},
          {"dim", dimension},
          {"encrypt_s", time.encrypt_s},
          {"distance_s", time.distance_s},
          {"minimum_s", time.minimum_s},
          {"others_s", time.others_s},
          {"detect_extract_s", time.detect_extract_s},
          {"rtt_s", time.rtt_s},
          {"rtt_without_detection_s", time.rtt_without_detection_s},
          {"paper_distance_s", number_or_null(paper == nullptr ? 0 : paper->distance_s)},
          {"paper_rtt_s", number_or_null(paper == nullptr ? 0 : paper->rtt_s)}};
}

std::string to_text(const ResponseTime& time) {
  const PaperFigure* const paper = paper_figure(time.registrants);
  return fmt::format(
      "{:>11} {:9.4f} {:9.4f} {:9.4f} {:9.4f} {:9.4f} {:9.4f} {:9.4f}  | {:>9} {:>7}\n",
      time.registrants, time.encrypt_s, time.distance_s, time.minimum_s, time.others_s,
      time.detect_extract_s, time.rtt_s, time.rtt_without_detection_s,
      number_or_dash(paper == nullptr ? 0 : paper->distance_s),
      number_or_dash(paper == nullptr ? 0 : paper->rtt_s));
}

// The table of one strategy.
void add_to(Report& report, std::span<const ResponseTime> times, size_t dimension) {
  if (times.empty()) return;
  report.text +=
      fmt::format("{}\n{:>11} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}  | paper: distance, RTT\n",
                  times.front().strategy, "registrants", "encrypt", "distance", "minimum", "others",
                  "detect", "RTT", "RTT-det.");
  for (const ResponseTime& time : times) {
    report.json.push_back(to_json(time, dimension));
    report.text += to_text(time);
  }
  report.text += limit_sentence(times);
}

}  // namespace

Result<Report> bench_response_time(const CommonOptions&, const BenchResponseTimeOptions& options) {
  std::vector<size_t> counts = options.registrants;
  std::ranges::sort(counts);
  const bool with_packed = options.strategy != kRoundRobin;
  const bool with_round_robin = options.strategy != "packed";
  const NetworkProfile network{options.delay_ms, options.megabits_per_s};
  BAUTA_TRY(const std::unique_ptr<ServedDeployment> deployment,
            ServedDeployment::start({options.engine, options.detector, 0, network}));
  const fs::path folder = options.images.empty() ? demo_people() : options.images;
  BAUTA_TRY(const std::unique_ptr<Registrants> registrants,
            options.dimension > 0 ? register_by_templates(*deployment, options.dimension)
                                  : register_by_images(*deployment, folder));
  std::unique_ptr<RoundRobinRun> run;
  if (with_round_robin) {
    BAUTA_TRY(run, RoundRobinRun::create(registrants->dimension()));
  }

  std::vector<ResponseTime> packed, round_robin;
  for (const size_t count : counts) {
    BAUTA_CHECK(registrants->grow_to(count));
    BAUTA_TRY(const ResponseTime time, registrants->measure());
    if (with_packed) packed.push_back(time);
    if (with_round_robin && count <= kMaxRoundRobin) {
      BAUTA_TRY(ResponseTime one_by_one, run->measure(time));
      round_robin.push_back(std::move(one_by_one));
    }
  }

  Report report;
  report.json = Json::array();
  report.text =
      fmt::format("Seconds, medians of {} identifications; the paper's own figures on the right\n",
                  kProbesPerCount);
  add_to(report, packed, registrants->dimension());
  add_to(report, round_robin, registrants->dimension());
  report.text += registrants->description();
  if (with_round_robin)
    report.text += fmt::format(
        "The round robin's computations run on one thread of this process, on our arithmetic, the "
        "best of {} runs, up to {} registrants; the rest of its round trip is that of the packed "
        "search.\n",
        kRoundRobinRuns, kMaxRoundRobin);
  if (!network.none())
    report.text += fmt::format(
        "A relay delays what is sent by {:g} ms each way and passes on {} a second each way.\n",
        network.delay_ms,
        network.megabits_per_s > 0 ? fmt::format("{:g} Mbit", network.megabits_per_s)
                                   : "any amount");
  report.text += fmt::format("All roles together were resident with at most {} MB.\n",
                             deployment->usage().peak_bytes >> 20);
  std::vector<ResponseTime> all = std::move(packed);
  all.insert(all.end(), round_robin.begin(), round_robin.end());
  if (!options.csv.empty()) BAUTA_CHECK(write_file_atomically(options.csv, as_bytes(to_csv(all))));
  if (!options.svg.empty()) BAUTA_CHECK(write_file_atomically(options.svg, as_bytes(to_svg(all))));
  return report;
}

}  // namespace bauta::cli
