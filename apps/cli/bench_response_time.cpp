// The response time that a device meets, part by part, beside the figures of the paper: `bauta
// bench response-time`.

#include <algorithm>
#include <chrono>
#include <map>
#include <random>

#include "apps/cli/arguments.h"
#include "apps/cli/response_plot.h"
#include "apps/cli/served_deployment.h"
#include "base/file.h"

namespace bauta::cli {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr const char* kGallery = "response-time";
constexpr size_t kProbes = 15;
constexpr size_t kMaxImage_bytes = size_t{8} << 20;
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

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// --- Who registers

// The images of a person, NAME/NAME_0001.jpg and so on, in order.
struct Person {
  std::string name;
  std::vector<fs::path> images;
};

Result<std::vector<Person>> find_people(const fs::path& folder) {
  std::map<std::string, std::vector<fs::path>> found;
  std::error_code failed;
  for (const auto& person : fs::directory_iterator(folder, failed)) {
    if (!person.is_directory()) continue;
    for (const auto& image : fs::directory_iterator(person.path()))
      found[person.path().filename()].push_back(image.path());
  }
  if (failed || found.empty())
    return make_error(ErrorCode::not_found, "{} has no folders NAME with images", folder.string());
  std::vector<Person> people;
  for (auto& [name, images] : found) {
    std::sort(images.begin(), images.end());
    people.push_back({name, std::move(images)});
  }
  return people;
}

face::Embedding random_template(size_t dimension, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  face::Embedding embedding(dimension);
  for (float& value : embedding) value = normal(random);
  BAUTA_ASSERT(face::normalise(embedding).ok());
  return embedding;
}

Result<Json> expect_reply(Result<rest::ClientReply> reply, int status) {
  if (!reply.ok()) return reply.error();
  if (reply->status != status)
    return make_error(ErrorCode::unavailable, "the edge answers {}: {}", reply->status,
                      reply->body);
  return Json::parse(reply->body);
}

// Enrols by images, as a device does, as long as there are people; then by templates that belong to
// nobody.
class Registration {
 public:
  Registration(ServedDeployment& deployment, rest::HttpsClient& device, std::vector<Person> people,
               size_t dimension)
      : deployment_(deployment),
        device_(device),
        people_(std::move(people)),
        dimension_(dimension) {}

  Status grow_to(size_t registrants) {
    Progress progress("enrolling", registrants);
    progress.advance(enrolled_);
    for (; enrolled_ < registrants; ++enrolled_, progress.advance()) {
      BAUTA_TRY(const bool by_image, enrol_next_person());
      if (!by_image) BAUTA_CHECK(enrol_template());
    }
    return {};
  }

  const std::vector<fs::path>& probes() const { return probes_; }
  size_t by_image() const { return by_image_; }

 private:
  static std::string path() { return fmt::format("/v1/galleries/{}/subjects", kGallery); }

  // False when nobody is left. Images that cannot be used are passed over.
  Result<bool> enrol_next_person() {
    while (next_ < people_.size()) {
      const Person& person = people_[next_++];
      BAUTA_TRY(Bytes image, read_file(person.images.front(), kMaxImage_bytes));
      BAUTA_TRY(const rest::ClientReply reply,
                device_.post_images(path(), {{"subject", fmt::format("s{}", enrolled_)}}, {image}));
      if (reply.status == 422) continue;
      BAUTA_CHECK(expect_reply(reply, 201));
      if (probes_.size() < kProbes) probes_.push_back(person.images.back());
      ++by_image_;
      return true;
    }
    return false;
  }

  Status enrol_template() {
    BAUTA_TRY(rest::Desk* const edge, deployment_.open_edge());
    const face::Embedding embedding = random_template(dimension_, enrolled_);
    const std::string subject = fmt::format("s{}", enrolled_);
    BAUTA_CHECK(edge->with_edge(kGallery, [&](edge::Edge& with) {
      return with.enroll(kGallery, subject, std::span(&embedding, 1));
    }));
    return {};
  }

  ServedDeployment& deployment_;
  rest::HttpsClient& device_;
  const std::vector<Person> people_;
  const size_t dimension_;
  size_t next_ = 0, enrolled_ = 0, by_image_ = 0;
  std::vector<fs::path> probes_;
};

// --- What is measured

// Identifies every probe a few times over HTTPS; medians.
Result<ResponseTime> measure_packed(rest::HttpsClient& device, const std::vector<fs::path>& probes,
                                    size_t registrants) {
  std::vector<double> encrypt, distance, minimum, detect_extract, others, rtt;
  for (size_t i = 0; i <= kProbes; ++i) {
    BAUTA_TRY(const Bytes image, read_file(probes[i % probes.size()], kMaxImage_bytes));
    const auto start = Clock::now();
    BAUTA_TRY(const Json answer,
              expect_reply(device.post_images(fmt::format("/v1/galleries/{}/identify", kGallery),
                                              {}, {image}),
                           200));
    const double total = seconds_since(start);
    if (i == 0 || answer["decision"] == "failed") continue;  // the first prepares the gallery
    const auto part = [&](const char* name) {
      return answer["timings"][name].get<double>() / 1000;
    };
    rtt.push_back(total);
    encrypt.push_back(part("encrypt"));
    distance.push_back(part("match"));
    minimum.push_back(part("decide"));
    detect_extract.push_back(part("detect_align") + part("extract"));
    others.push_back(total - encrypt.back() - distance.back() - minimum.back() -
                     detect_extract.back());
  }
  if (rtt.empty())
    return make_error(ErrorCode::refused, "no face was found in any image to be identified");
  return ResponseTime{registrants,    median(encrypt),        median(distance), median(minimum),
                      median(others), median(detect_extract), median(rtt)};
}

// --- What is printed

std::string paper_text(size_t registrants) {
  for (const PaperFigure& figure : kPaper)
    if (figure.registrants == registrants) {
      const auto text = [](double value) {
        return value > 0 ? fmt::format("{:.3f}", value) : std::string("-");
      };
      return fmt::format("{:>9} {:>7}", text(figure.distance_s), text(figure.rtt_s));
    }
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
  if (slope * static_cast<double>(last.registrants) < 0.01)
    return fmt::format(
        "The {:.0f} s of the paper, reached there at 120 registrants, are not in sight: "
        "the round trip hardly grows up to {}.\n",
        kLimit_s, last.registrants);
  return fmt::format(
      "The {:.0f} s of the paper, reached there at 120 registrants, are reached here at "
      "about {:.0f} (a line through these figures).\n",
      kLimit_s, static_cast<double>(last.registrants) + (kLimit_s - last.rtt_s) / slope);
}

Report make_report(const BenchResponseTimeOptions& options,
                   const std::vector<ResponseTime>& times) {
  Report report;
  report.json = Json::array();
  report.text = fmt::format(
      "Seconds, medians of {} identifications over HTTPS, {}; the paper's own beside them.\n"
      "{:>11} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}  | paper: distance, RTT\n",
      kProbes, options.strategy, "registrants", "encrypt", "distance", "minimum", "others",
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
  const fs::path folder =
      options.images.empty() ? fs::path(BAUTA_SOURCE_DIR) / "examples/people" : options.images;
  BAUTA_TRY(std::vector<Person> people, find_people(folder));
  BAUTA_TRY(const std::unique_ptr<ServedDeployment> deployment,
            ServedDeployment::start(options.engine, options.detector));
  rest::HttpsClient device = deployment->connect_device();
  BAUTA_TRY(
      const Json gallery,
      expect_reply(device.post_json("/v1/galleries", Json{{"gallery", kGallery}}.dump()), 201));
  const size_t dimension = gallery["contract"]["dimension"];
  Registration registration(*deployment, device, std::move(people), dimension);

  std::vector<ResponseTime> times;
  for (const size_t registrants : counts) {
    BAUTA_CHECK(registration.grow_to(registrants));
    if (registration.probes().empty())
      return make_error(ErrorCode::refused, "no image in {} can be used", folder.string());
    BAUTA_TRY(const ResponseTime time, measure_packed(device, registration.probes(), registrants));
    times.push_back(time);
  }
  if (!options.csv.empty())
    BAUTA_CHECK(write_file_atomically(options.csv, as_bytes(to_csv(options.strategy, times))));
  if (!options.svg.empty())
    BAUTA_CHECK(write_file_atomically(options.svg, as_bytes(to_svg(options.strategy, times))));
  Report report = make_report(options, times);
  report.text += fmt::format(
      "{} registrants were enrolled by images from {}, the others by random templates; dimension "
      "{}.\n",
      registration.by_image(), folder.string(), dimension);
  return report;
}

}  // namespace bauta::cli
