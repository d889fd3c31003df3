#include "apps/cli/recognise.h"

#include "base/file.h"

namespace bauta::cli {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxImage_bytes = size_t{32} << 20;

}  // namespace

std::string to_text(const edge::Timings& timings) {
  return fmt::format(
      "detect+align {:6.1f}  extract {:6.1f}  encrypt {:5.2f}  match {:6.2f}  decide {:6.2f}  "
      "total "
      "{:6.1f} ms",
      timings.detect_align, timings.extract, timings.encrypt, timings.match, timings.decide,
      timings.total);
}

Result<edge::Recognition> recognise_file(
    const fs::path& path, const std::function<Result<edge::Recognition>(ByteView)>& recognise) {
  const Result<Bytes> image = read_file(path, kMaxImage_bytes);
  if (!image.ok()) {
    edge::Recognition failed;
    failed.reason = image.error().message;
    return failed;
  }
  return recognise(*image);
}

Result<Report> enroll(const CommonOptions& common, const EnrollOptions& options) {
  BAUTA_TRY(const std::unique_ptr<Deployment> deployment, Deployment::open(common));
  BAUTA_TRY(const std::unique_ptr<edge::Edge> edge,
            deployment->open_edge(options.gallery, options.mode));
  std::vector<Bytes> images;
  for (const fs::path& path : options.images) {
    BAUTA_TRY(Bytes image, read_file(path, kMaxImage_bytes));
    images.push_back(std::move(image));
  }
  BAUTA_TRY(const edge::Enrolment enrolment,
            edge->enroll(options.gallery, options.subject, images, options.add));
  Report report;
  report.json = {{"subject", options.subject},
                 {"references", enrolment.reference_ids},
                 {"refused", Json::array()}};
  for (const edge::RefusedImage& refused : enrolment.refused) {
    const std::string image = options.images[refused.image].string();
    report.json["refused"].push_back({{"image", image}, {"reason", refused.reason}});
    report.text += fmt::format("refused {}: {}\n", image, refused.reason);
  }
  if (enrolment.reference_ids.empty()) {
    report.text += fmt::format("{} is not enrolled: no image could be used\n", options.subject);
    report.exit_code = kNo;
  } else {
    report.text +=
        fmt::format("{} is enrolled with {} reference{}\n", options.subject,
                    enrolment.reference_ids.size(), enrolment.reference_ids.size() == 1 ? "" : "s");
  }
  return report;
}

Result<Report> erase(const CommonOptions& common, const EraseOptions& options) {
  BAUTA_TRY(const std::unique_ptr<Deployment> deployment, Deployment::open(common));
  v1::EraseRequest request;
  request.set_gallery(options.gallery);
  request.set_subject(options.subject);
  BAUTA_TRY(const v1::EraseReply reply, deployment->auth().erase(request));
  return Report{
      {{"subject", options.subject}, {"references", reply.references()}},
      fmt::format("{} is erased, with {} references\n", options.subject, reply.references())};
}

Result<Report> identify(const CommonOptions& common, const IdentifyOptions& options) {
  BAUTA_TRY(const std::unique_ptr<Deployment> deployment, Deployment::open(common));
  BAUTA_TRY(const std::unique_ptr<edge::Edge> edge,
            deployment->open_edge(options.gallery, options.mode));
  Report report;
  report.json = Json::array();
  for (const fs::path& path : options.images) {
    BAUTA_TRY(const edge::Recognition recognition, recognise_file(path, [&](ByteView image) {
                return edge->identify(options.gallery, image, options.candidates);
              }));
    report.json.push_back(
        {{"image", path.string()},
         {"decision", decision_name(recognition.decision)},
         {"subject",
          recognition.decision == v1::DECISION_ACCEPTED ? Json(recognition.subject) : Json()},
         {"reason", recognition.reason},
         {"presentation", face::presentation_name(recognition.presentation)},
         {"not_compared", recognition.not_compared},
         {"timings_ms", to_json(recognition.timings)}});
    if (options.candidates > 1) report.json.back()["candidates"] = recognition.candidates;
    const std::string answer = recognition.decision == v1::DECISION_ACCEPTED ? recognition.subject
                               : recognition.decision == v1::DECISION_REJECTED
                                   ? "not enrolled"
                                   : "failed: " + recognition.reason;
    report.text +=
        fmt::format("{}: {}\n  {}\n", path.string(), answer, to_text(recognition.timings));
    if (recognition.not_compared > 0)
      report.text += fmt::format(
          "  {} references were not compared: their files are damaged; run 'bauta gallery repair "
          "{}'\n",
          recognition.not_compared, options.gallery);
    if (recognition.decision != v1::DECISION_ACCEPTED) report.exit_code = kNo;
  }
  return report;
}

Result<Report> verify(const CommonOptions& common, const VerifyOptions& options) {
  BAUTA_TRY(const std::unique_ptr<Deployment> deployment, Deployment::open(common));
  BAUTA_TRY(const std::unique_ptr<edge::Edge> edge,
            deployment->open_edge(options.gallery, options.mode));
  BAUTA_TRY(const edge::Recognition recognition, recognise_file(options.image, [&](ByteView image) {
              return edge->verify(options.gallery, options.subject, image);
            }));
  Report report;
  report.json = {{"decision", decision_name(recognition.decision)},
                 {"reason", recognition.reason},
                 {"presentation", face::presentation_name(recognition.presentation)},
                 {"timings_ms", to_json(recognition.timings)}};
  report.text = fmt::format(
      "{}: {}{}{}\n  {}\n", options.subject, decision_name(recognition.decision),
      recognition.reason.empty() ? "" : ": ", recognition.reason, to_text(recognition.timings));
  report.exit_code = recognition.decision == v1::DECISION_ACCEPTED ? kYes : kNo;
  return report;
}

}  // namespace bauta::cli
