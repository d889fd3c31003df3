#include "apps/cli/registrants.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <random>

#include "apps/cli/report.h"
#include "base/file.h"

namespace bauta::cli {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr const char* kGallery = "response-time";
constexpr size_t kMaxImage_bytes = size_t{8} << 20;
constexpr uint64_t kProbeSeed = uint64_t{1} << 40;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::string subject_name(size_t number) {
  return fmt::format("s{}", number);
}

const std::string kIdentifyPath = fmt::format("/v1/galleries/{}/identify", kGallery);
const std::string kSubjectsPath = fmt::format("/v1/galleries/{}/subjects", kGallery);

// The parts of some round trips.
class Measurements {
 public:
  void add(const edge::Timings& parts_ms, double rtt_s) {
    ResponseTime time;
    time.encrypt_s = parts_ms.encrypt / 1000;
    time.distance_s = parts_ms.match / 1000;
    time.minimum_s = parts_ms.decide / 1000;
    time.detect_extract_s = (parts_ms.detect_align + parts_ms.extract) / 1000;
    time.others_s =
        rtt_s - time.encrypt_s - time.distance_s - time.minimum_s - time.detect_extract_s;
    time.rtt_s = rtt_s;
    time.rtt_without_detection_s = rtt_s - time.detect_extract_s;
    times_.push_back(time);
  }

  bool empty() const { return times_.empty(); }

  ResponseTime median(size_t registrants) {
    ResponseTime time;
    time.strategy = "packed";
    time.registrants = registrants;
    for (double ResponseTime::*part :
         {&ResponseTime::encrypt_s, &ResponseTime::distance_s, &ResponseTime::minimum_s,
          &ResponseTime::others_s, &ResponseTime::detect_extract_s, &ResponseTime::rtt_s,
          &ResponseTime::rtt_without_detection_s}) {
      const auto middle = times_.begin() + static_cast<std::ptrdiff_t>(times_.size() / 2);
      std::nth_element(
          times_.begin(), middle, times_.end(),
          [part](const ResponseTime& a, const ResponseTime& b) { return a.*part < b.*part; });
      time.*part = *middle.*part;
    }
    return time;
  }

 private:
  std::vector<ResponseTime> times_;
};

// The images of a person, in order.
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

Result<Json> expect_reply(Result<rest::ClientReply> reply, int status) {
  if (!reply.ok()) return reply.error();
  if (reply->status != status)
    return make_error(ErrorCode::unavailable, "the edge answers {}: {}", reply->status,
                      reply->body);
  return Json::parse(reply->body);
}

// --- By images

class ImageRegistrants final : public Registrants {
 public:
  ImageRegistrants(ServedDeployment& deployment, const fs::path& folder, std::vector<Person> people)
      : Registrants(deployment),
        device_(deployment.connect_device()),
        folder_(folder),
        people_(std::move(people)) {}

  Status create_gallery() {
    BAUTA_TRY(
        const Json gallery,
        expect_reply(device_.post_json("/v1/galleries", Json{{"gallery", kGallery}}.dump()), 201));
    dimension_ = gallery["contract"]["dimension"];
    return {};
  }

  size_t dimension() const override { return dimension_; }

  Result<ResponseTime> measure() override {
    if (probes_.empty())
      return make_error(ErrorCode::refused, "no image in {} can be used", folder_.string());
    Measurements measured;
    for (size_t i = 0; i <= kProbesPerCount; ++i) {
      BAUTA_TRY(const Bytes image, read_file(probes_[i % probes_.size()], kMaxImage_bytes));
      const auto start = Clock::now();
      BAUTA_TRY(const Json answer,
                expect_reply(device_.post_images(kIdentifyPath, {}, {image}), 200));
      const double rtt_s = seconds_since(start);
      if (i == 0 || answer["decision"] == "failed") continue;  // the first prepares the gallery
      const Json& parts = answer["timings"];
      measured.add({parts["detect_align"], parts["extract"], parts["encrypt"], parts["match"],
                    parts["decide"], parts["total"]},
                   rtt_s);
    }
    if (measured.empty())
      return make_error(ErrorCode::refused, "no face was found in any image to be identified");
    return measured.median(enrolled_);
  }

  std::string description() const override {
    return fmt::format(
        "{} of {} registrants were enrolled by images from {}, the others by random templates; "
        "dimension {}.\n",
        by_image_, enrolled_, folder_.string(), dimension_);
  }

 protected:
  // Images that cannot be used are passed over.
  Result<bool> enrol_person(const std::string& subject) override {
    while (next_ < people_.size()) {
      const Person& person = people_[next_++];
      BAUTA_TRY(Bytes image, read_file(person.images.front(), kMaxImage_bytes));
      BAUTA_TRY(const rest::ClientReply reply,
                device_.post_images(kSubjectsPath, {{"subject", subject}}, {image}));
      if (reply.status == 422) continue;
      BAUTA_CHECK(expect_reply(reply, 201));
      if (probes_.size() < kProbesPerCount) probes_.push_back(person.images.back());
      ++by_image_;
      return true;
    }
    return false;
  }

  Status with_edge(const std::function<Status(edge::Edge&)>& work) override {
    BAUTA_TRY(rest::Desk* const edge, deployment_.open_edge());
    return edge->with_edge(kGallery, work);
  }

 private:
  rest::HttpsClient device_;
  const fs::path folder_;
  const std::vector<Person> people_;
  size_t dimension_ = 0, next_ = 0, by_image_ = 0;
  std::vector<fs::path> probes_;
};

// --- By templates

class TemplateRegistrants final : public Registrants {
 public:
  TemplateRegistrants(ServedDeployment& deployment, std::unique_ptr<edge::Edge> edge,
                      size_t dimension)
      : Registrants(deployment), edge_(std::move(edge)), dimension_(dimension) {}

  size_t dimension() const override { return dimension_; }

  Result<ResponseTime> measure() override {
    Measurements measured;
    for (size_t i = 0; i <= kProbesPerCount; ++i) {
      const face::Embedding probe = random_template(dimension_, kProbeSeed + i);
      const auto start = Clock::now();
      BAUTA_TRY(const edge::Recognition recognition, edge_->identify(kGallery, probe));
      if (i > 0) measured.add(recognition.timings, seconds_since(start));
    }
    return measured.median(enrolled_);
  }

  std::string description() const override {
    return fmt::format(
        "Random templates of dimension {} from an edge over gRPC: the round trip has no image and "
        "no HTTPS in it.\n",
        dimension_);
  }

 protected:
  Result<bool> enrol_person(const std::string&) override { return false; }
  Status with_edge(const std::function<Status(edge::Edge&)>& work) override { return work(*edge_); }

 private:
  std::unique_ptr<edge::Edge> edge_;
  const size_t dimension_;
};

}  // namespace

face::Embedding random_template(size_t dimension, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  face::Embedding embedding(dimension);
  for (float& value : embedding) value = normal(random);
  BAUTA_ASSERT(face::normalise(embedding).ok());
  return embedding;
}

Status Registrants::grow_to(size_t registrants) {
  Progress progress("enrolling", registrants);
  progress.advance(enrolled_);
  while (enrolled_ < registrants) {
    const size_t before = enrolled_;
    BAUTA_TRY(const bool by_image, enrol_person(subject_name(enrolled_)));
    if (by_image)
      ++enrolled_;
    else
      BAUTA_CHECK(enrol_templates(std::min(registrants - enrolled_, match::kDegree)));
    progress.advance(enrolled_ - before);
  }
  return {};
}

Status Registrants::enrol_templates(size_t count) {
  const bool in_bulk = count == match::kDegree;
  if (!in_bulk) count = 1;
  std::vector<std::string> subjects;
  std::vector<float> rows;
  for (size_t i = 0; i < count; ++i) {
    subjects.push_back(subject_name(enrolled_ + i));
    const face::Embedding embedding = random_template(dimension(), enrolled_ + i);
    rows.insert(rows.end(), embedding.begin(), embedding.end());
  }
  const auto enrol = [&](edge::Edge& edge) -> Status {
    if (in_bulk) return deployment_.enrol_block(kGallery, edge, subjects, rows);
    const auto enrolled = edge.enroll(kGallery, subjects.front(), std::span(&rows, 1));
    return enrolled.ok() ? Status() : Status(enrolled.error());
  };
  BAUTA_CHECK(with_edge(enrol));
  enrolled_ += count;
  return {};
}

Result<std::unique_ptr<Registrants>> register_by_images(ServedDeployment& deployment,
                                                        const fs::path& folder) {
  BAUTA_TRY(std::vector<Person> people, find_people(folder));
  auto registrants = std::make_unique<ImageRegistrants>(deployment, folder, std::move(people));
  BAUTA_CHECK(registrants->create_gallery());
  return std::unique_ptr<Registrants>(std::move(registrants));
}

Result<std::unique_ptr<Registrants>> register_by_templates(ServedDeployment& deployment,
                                                           size_t dimension) {
  BAUTA_TRY(std::unique_ptr<edge::Edge> edge, deployment.open_template_edge(kGallery, dimension));
  return std::unique_ptr<Registrants>(
      std::make_unique<TemplateRegistrants>(deployment, std::move(edge), dimension));
}

}  // namespace bauta::cli
