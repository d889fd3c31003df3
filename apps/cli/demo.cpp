// The demo: fictitious people are enrolled and recognised under encryption.

#include <filesystem>

#include "apps/cli/arguments.h"
#include "apps/cli/demo_people.h"
#include "apps/cli/recognise.h"
#include "base/file.h"

namespace bauta::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kGallery = "demo";
constexpr const char* kTenant = "default";
constexpr size_t kProbesPerPerson = 2;
constexpr size_t kMaxFile_bytes = size_t{4} << 20;

struct Person {
  std::string name;
  bool enrolled = false;
  std::vector<fs::path> enrol_images, probe_images;
};

Result<std::vector<Person>> read_people(const fs::path& folder) {
  const fs::path path = folder / "people.json";
  BAUTA_TRY(const Bytes bytes, read_file(path, kMaxFile_bytes));
  std::vector<Person> people;
  try {
    for (const Json& entry : Json::parse(as_text(bytes))) {
      Person person;
      person.name = entry.at("name");
      person.enrolled = entry.at("enrolled");
      for (const std::string image : entry.at("enrol"))
        person.enrol_images.push_back(folder / person.name / image);
      for (const std::string image : entry.at("probe"))
        person.probe_images.push_back(folder / person.name / image);
      if (person.probe_images.size() > kProbesPerPerson)
        person.probe_images.resize(kProbesPerPerson);
      people.push_back(std::move(person));
    }
  } catch (const Json::exception& exception) {
    return make_error(ErrorCode::corrupt, "{} is not a list of demo people: {}", path.string(),
                      exception.what());
  }
  return people;
}

Status create_gallery_once(Deployment& deployment) {
  v1::GetGalleryRequest request;
  request.set_gallery(kGallery);
  const Result<v1::Gallery> existing = deployment.auth().get_gallery(request);
  if (existing.ok()) return {};
  if (existing.error().code != ErrorCode::not_found) return existing.error();
  BAUTA_CHECK(deployment.create_gallery(kGallery, EdgeSettings(), kTenant));
  return {};
}

// Enrols the people who are to be known and are not yet; returns how many were enrolled now.
Result<size_t> enroll_people(edge::Edge& edge, const std::vector<Person>& people) {
  size_t enrolled = 0;
  Progress progress("enrolling", people.size());
  for (const Person& person : people) {
    progress.advance();
    if (!person.enrolled) continue;
    std::vector<Bytes> images;
    for (const fs::path& path : person.enrol_images) {
      BAUTA_TRY(Bytes image, read_file(path, kMaxFile_bytes));
      images.push_back(std::move(image));
    }
    const Result<edge::Enrolment> enrolment = edge.enroll(kGallery, person.name, images, false);
    if (enrolment.ok()) {
      if (enrolment->reference_ids.empty())
        return make_error(ErrorCode::refused, "no image of {} can be used: {}", person.name,
                          enrolment->refused.front().reason);
      ++enrolled;
    } else if (enrolment.error().code != ErrorCode::already_exists) {
      return enrolment.error();
    }
  }
  return enrolled;
}

// The same person, but the image itself is encrypted and the server extracts the features. The
// first time this makes keys of 0.44 GB, which stay.
Status add_image_mode(Deployment& deployment, const Person& person, Report& report) {
  fmt::print(stderr, "one recognition in image mode; the first time with keys of 0.44 GB\n");
  BAUTA_TRY(const std::unique_ptr<edge::Edge> edge, deployment.open_edge(kGallery, kImageMode));
  const fs::path& path = person.probe_images.front();
  BAUTA_TRY(const edge::Recognition recognition,
            recognise_file(path, [&](ByteView image) { return edge->identify(kGallery, image); }));
  const bool right = recognition.subject == person.name;
  report.json["image_mode"] = {{"image", path.string()},
                               {"person", person.name},
                               {"decision", decision_name(recognition.decision)},
                               {"subject", recognition.subject},
                               {"timings_ms", to_json(recognition.timings)}};
  report.text += fmt::format(
      "{} by the encrypted image, whose features the authentication server extracted without "
      "seeing it: "
      "{}, {:.1f} s, keys and weights included.\n",
      person.name, right ? "recognised" : "not recognised (wrong)",
      recognition.timings.total / 1000);
  if (!right) report.exit_code = kNo;
  return {};
}

// A gallery of a size that no dozen of people shows.
Status add_scale(const CommonOptions& common, Report& report) {
  BenchMatchOptions options;
  options.references = 100'000;
  options.dimension = 128;
  BAUTA_TRY(const Report scale, bench_match(common, options));
  report.json["scale"] = scale.json;
  report.text += fmt::format(
      "{} synthetic references encrypted in {:.1f} s; a search of them all, decision included: "
      "{:.0f} ms.\n",
      options.references, scale.json["enrol_seconds"].get<double>(),
      scale.json["total_ms"].get<double>());
  return {};
}

}  // namespace

Result<Report> demo(const CommonOptions& common, const DemoOptions& options) {
  const fs::path folder = options.people.empty() ? demo_people() : options.people;
  BAUTA_TRY(const std::vector<Person> people, read_people(folder));
  BAUTA_TRY(const std::unique_ptr<Deployment> deployment,
            Deployment::initialise(common, kTenant, false));
  BAUTA_CHECK(create_gallery_once(*deployment));
  BAUTA_TRY(const std::unique_ptr<edge::Edge> edge, deployment->open_edge(kGallery));
  BAUTA_TRY(const size_t enrolled, enroll_people(*edge, people));

  const v1::EmbeddingContract& contract = edge->contract();
  Report report;
  report.json = {{"gallery", kGallery}, {"engine", contract.engine()}, {"probes", Json::array()}};
  report.text = fmt::format(
      "{} fictitious people enrolled ({} of them now), engine {} ({}-d), threshold {:.3f}.\n"
      "The engine is for trying bauta: about nine of ten pairs of real faces right, trained on "
      "data for\n"
      "non-commercial research (models/patchnet.md). Bring a network of your own for anything "
      "else.\n"
      "Each probe below is encrypted at the edge and compared as a ciphertext; milliseconds:\n\n"
      "{:<14} {:<24} {:>12} {:>8} {:>8} {:>8} {:>8} {:>8}\n",
      std::count_if(people.begin(), people.end(), [](const Person& p) { return p.enrolled; }),
      enrolled, contract.engine(), contract.dimension(), contract.threshold_identify(), "person",
      "answer", "detect+align", "extract", "encrypt", "match", "decide", "total");
  size_t right = 0, probes = 0;
  for (const Person& person : people) {
    for (const fs::path& path : person.probe_images) {
      BAUTA_TRY(const edge::Recognition recognition, recognise_file(path, [&](ByteView image) {
                  return edge->identify(kGallery, image);
                }));
      const bool accepted = recognition.decision == v1::DECISION_ACCEPTED;
      const bool expected = person.enrolled ? accepted && recognition.subject == person.name
                                            : recognition.decision == v1::DECISION_REJECTED;
      ++probes;
      if (expected) ++right;
      const std::string answer = accepted ? recognition.subject
                                 : recognition.decision == v1::DECISION_REJECTED ? "not enrolled"
                                                                                 : "failed";
      const edge::Timings& t = recognition.timings;
      report.text += fmt::format("{:<14} {:<24} {:12.1f} {:8.1f} {:8.2f} {:8.2f} {:8.2f} {:8.1f}\n",
                                 person.name, answer + (expected ? "" : "  (wrong)"),
                                 t.detect_align, t.extract, t.encrypt, t.match, t.decide, t.total);
      report.json["probes"].push_back({{"image", path.string()},
                                       {"person", person.name},
                                       {"enrolled", person.enrolled},
                                       {"decision", decision_name(recognition.decision)},
                                       {"subject", accepted ? Json(recognition.subject) : Json()},
                                       {"reason", recognition.reason},
                                       {"timings_ms", to_json(t)}});
    }
  }
  report.json["right"] = right;
  report.text += fmt::format("\n{} of {} answers are right.\n", right, probes);
  report.exit_code = right == probes ? kYes : kNo;
  BAUTA_CHECK(add_scale(common, report));
  if (const auto known = std::ranges::find_if(people, &Person::enrolled); known != people.end())
    BAUTA_CHECK(add_image_mode(*deployment, *known, report));
  return report;
}

}  // namespace bauta::cli
