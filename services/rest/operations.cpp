#include "services/rest/operations.h"

#include <array>

namespace bauta::rest {
namespace {

constexpr std::array kOperations{
    Operation{"GET", "/v1/galleries", "listGalleries", "List the galleries", Access::recognise,
              BodyKind::none, false, 200, "Galleries", &Handlers::list_galleries},
    Operation{"POST", "/v1/galleries", "createGallery", "Create an empty gallery", Access::admin,
              BodyKind::gallery, true, 201, "Gallery", &Handlers::create_gallery},
    Operation{"GET", "/v1/galleries/{gallery}", "getGallery", "Show what a gallery holds",
              Access::recognise, BodyKind::none, false, 200, "Gallery", &Handlers::get_gallery},
    Operation{"DELETE", "/v1/galleries/{gallery}", "deleteGallery",
              "Delete a gallery and all its references", Access::admin, BodyKind::none, true, 204,
              nullptr, &Handlers::delete_gallery},
    Operation{"POST", "/v1/galleries/{gallery}/renewal", "renewGallery",
              "Begin to re-encrypt a gallery under the tenant's active key, while it stays in use",
              Access::admin, BodyKind::none, true, 202, "Renewal", &Handlers::renew_gallery},
    Operation{"GET", "/v1/galleries/{gallery}/renewal", "getRenewal", "Show how far that is",
              Access::admin, BodyKind::none, false, 200, "Renewal", &Handlers::get_renewal},
    Operation{"POST", "/v1/galleries/{gallery}/subjects", "enrolSubject",
              "Enrol a subject from images of one face each", Access::enrol,
              BodyKind::subject_images, true, 201, "Enrolment", &Handlers::enrol},
    Operation{"POST", "/v1/galleries/{gallery}/subjects/{subject}/references", "addReferences",
              "Add references to a subject", Access::enrol, BodyKind::images, true, 201,
              "Enrolment", &Handlers::add_references},
    Operation{"DELETE", "/v1/galleries/{gallery}/subjects/{subject}", "eraseSubject",
              "Erase a subject and all its references", Access::enrol, BodyKind::none, true, 200,
              "Erasure", &Handlers::erase},
    Operation{"POST", "/v1/galleries/{gallery}/identify", "identify",
              "Find out who of the gallery is in the image (1:N)", Access::recognise,
              BodyKind::probe, false, 200, "Identification", &Handlers::identify},
    Operation{"POST", "/v1/galleries/{gallery}/subjects/{subject}/verify", "verify",
              "Decide whether the image shows the subject (1:1)", Access::recognise,
              BodyKind::probe, false, 200, "Verification", &Handlers::verify},
    Operation{"POST", "/v1/detect", "detect", "Find the face in an image and judge its quality",
              Access::recognise, BodyKind::image, false, 200, "Detection", &Handlers::detect},
    Operation{"GET", "/v1/health/live", "live", "The process is alive", Access::anyone,
              BodyKind::none, false, 200, "Health", &Handlers::live},
    Operation{"GET", "/v1/health/ready", "ready", "The edge and the servers behind it answer",
              Access::anyone, BodyKind::none, false, 200, "Health", &Handlers::ready},
    Operation{"GET", "/v1/version", "version", "Version of the program", Access::anyone,
              BodyKind::none, false, 200, "Version", &Handlers::version},
    Operation{"GET", "/openapi.json", "openapi", "This description", Access::anyone, BodyKind::none,
              false, 200, "Anything", &Handlers::description},
    Operation{"GET", "/", "page", "This description as a page", Access::anyone, BodyKind::none,
              false, 200, nullptr, &Handlers::page},
};

Response json(int status, const Json& document) {
  return Response{status, "application/json", document.dump(), 0};
}

Json to_json(const v1::Renewal& renewal) {
  return {{"gallery", renewal.gallery()},
          {"key_id", renewal.key_id()},
          {"to_key_id", renewal.to_key_id()},
          {"running", renewal.running()},
          {"references", renewal.references()},
          {"renewed", renewal.renewed()},
          {"error", renewal.error()}};
}

Json to_json(const edge::Recognition& recognition) {
  const bool accepted = recognition.decision == v1::DECISION_ACCEPTED;
  return {{"decision", decision_name(recognition.decision)},
          {"subject", accepted ? Json(recognition.subject) : Json()},
          {"reason", recognition.reason},
          {"presentation", face::presentation_name(recognition.presentation)},
          {"not_compared", recognition.not_compared},
          {"timings", rest::to_json(recognition.timings)}};
}

Result<Response> to_response(const Head& head, const std::string& subject,
                             const edge::Enrolment& enrolment) {
  Json refused = Json::array();
  for (const edge::RefusedImage& image : enrolment.refused)
    refused.push_back({{"image", image.image}, {"reason", image.reason}});
  if (enrolment.reference_ids.empty())
    return RestApi::problem(head, 422, "refused",
                            enrolment.refused.empty() ? "no image was given"
                                                      : "no image can be used; the first: " +
                                                            enrolment.refused.front().reason);
  return json(
      201, {{"subject", subject}, {"references", enrolment.reference_ids}, {"refused", refused}});
}

}  // namespace

std::span<const Operation> operations() {
  return kOperations;
}

// --- Galleries

Result<Response> Handlers::list_galleries() const {
  BAUTA_TRY(const v1::ListGalleriesReply reply, api.desk_.auth().list_galleries({}));
  Json galleries = Json::array();
  for (const v1::Gallery& gallery : reply.galleries()) galleries.push_back(to_json(gallery));
  return json(200, {{"galleries", galleries}});
}

Result<Response> Handlers::create_gallery() const {
  BAUTA_TRY(const v1::Gallery gallery, api.desk_.create_gallery(fields.gallery));
  return json(201, to_json(gallery));
}

Result<Response> Handlers::get_gallery() const {
  v1::GetGalleryRequest request;
  request.set_gallery(names[0]);
  BAUTA_TRY(const v1::Gallery gallery, api.desk_.auth().get_gallery(request));
  return json(200, to_json(gallery));
}

Result<Response> Handlers::delete_gallery() const {
  BAUTA_CHECK(api.desk_.delete_gallery(names[0]));
  return Response{204, "", "", 0};
}

Result<Response> Handlers::renew_gallery() const {
  BAUTA_TRY(const v1::Renewal renewal, api.desk_.renew_gallery(names[0]));
  return json(202, to_json(renewal));
}

Result<Response> Handlers::get_renewal() const {
  v1::RenewGalleryRequest request;
  request.set_gallery(names[0]);
  BAUTA_TRY(const v1::Renewal renewal, api.desk_.auth().renew_gallery(request));
  return json(200, to_json(renewal));
}

// --- Subjects

Mode Handlers::mode() const {
  return fields.mode == kImageMode ? Mode::image : Mode::face_template;
}

Result<Response> Handlers::enrol() const {
  const auto ask = [&](edge::Edge& edge) {
    return edge.enroll(names[0], fields.subject, fields.images, false);
  };
  BAUTA_TRY(const edge::Enrolment enrolment, api.desk_.with_edge(names[0], ask, mode()));
  return to_response(head, fields.subject, enrolment);
}

Result<Response> Handlers::add_references() const {
  const auto ask = [&](edge::Edge& edge) {
    return edge.enroll(names[0], names[1], fields.images, true);
  };
  BAUTA_TRY(const edge::Enrolment enrolment, api.desk_.with_edge(names[0], ask, mode()));
  return to_response(head, names[1], enrolment);
}

Result<Response> Handlers::erase() const {
  v1::EraseRequest request;
  request.set_gallery(names[0]);
  request.set_subject(names[1]);
  BAUTA_TRY(const v1::EraseReply reply, api.desk_.auth().erase(request));
  return json(200, {{"subject", names[1]}, {"references", reply.references()}});
}

// --- Recognition

void Handlers::tell(const char* operation, const edge::Recognition& recognition,
                    const std::string& subject) const {
  if (!api.on_decision_ || recognition.decision == v1::DECISION_UNSPECIFIED) return;
  api.on_decision_({operation, names[0], decision_name(recognition.decision), subject,
                    head.request_id, face::presentation_name(recognition.presentation),
                    recognition.timings});
}

Result<Response> Handlers::identify() const {
  const auto ask = [&](edge::Edge& edge) { return edge.identify(names[0], fields.images[0]); };
  BAUTA_TRY(const edge::Recognition recognition, api.desk_.with_edge(names[0], ask, mode()));
  tell("identify", recognition, recognition.subject);
  return json(200, to_json(recognition));
}

Result<Response> Handlers::verify() const {
  const auto ask = [&](edge::Edge& edge) {
    return edge.verify(names[0], names[1], fields.images[0]);
  };
  BAUTA_TRY(const edge::Recognition recognition, api.desk_.with_edge(names[0], ask, mode()));
  tell("verify", recognition, names[1]);
  Json answer = to_json(recognition);
  answer.erase("subject");
  answer.erase("not_compared");
  return json(200, answer);
}

Result<Response> Handlers::detect() const {
  const Result<face::FaceOutcome> outcome = api.desk_.detect(fields.images[0]);
  if (!outcome.ok() && outcome.error().code == ErrorCode::invalid_argument)
    return json(200, {{"face", nullptr}, {"reason", outcome.error().message}});
  if (!outcome.ok()) return outcome.error();
  if (const face::Refusal* refusal = outcome->refusal(); refusal != nullptr)
    return json(200, {{"face", nullptr}, {"reason", refusal->message}});
  const face::DetectedFace& face = outcome->face()->detected;
  Json landmarks = Json::array();
  for (const face::Point& point : face.landmarks)
    landmarks.push_back({{"x", point.x}, {"y", point.y}});
  return json(200, {{"face",
                     {{"x", face.box.x},
                      {"y", face.box.y},
                      {"width", face.box.width},
                      {"height", face.box.height},
                      {"landmarks", landmarks}}},
                    {"reason", ""}});
}

// --- About the service

Result<Response> Handlers::live() const {
  return json(200, {{"status", "live"}});
}

Result<Response> Handlers::ready() const {
  BAUTA_CHECK(api.desk_.check_servers());
  return json(200, {{"status", "ready"}});
}

Result<Response> Handlers::version() const {
  return json(200, {{"name", "bauta"}, {"version", BAUTA_VERSION}});
}

Result<Response> Handlers::description() const {
  return Response{200, "application/json", openapi(), 0};
}

Result<Response> Handlers::page() const {
  return Response{200, "text/html; charset=utf-8", browsable_page(), 0};
}

}  // namespace bauta::rest
