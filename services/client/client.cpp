#include "services/client/client.h"

#include "services/rest/desk.h"
#include "services/rest/https_client.h"
#include "services/rest/json.h"
#include "services/transport/client.h"

namespace bauta::client {
namespace {

using rest::Json;

// --- Through an edge

// The error that a problem document tells of.
Error error_of(const rest::ClientReply& reply) {
  const Json problem = Json::parse(reply.body, nullptr, /*allow_exceptions=*/false);
  const std::string code = problem.is_object() ? problem.value("title", "") : "";
  const std::string detail = problem.is_object() ? problem.value("detail", "") : "";
  for (const ErrorCode known :
       {ErrorCode::invalid_argument, ErrorCode::not_found, ErrorCode::already_exists,
        ErrorCode::corrupt, ErrorCode::mismatch, ErrorCode::refused, ErrorCode::busy,
        ErrorCode::no_space, ErrorCode::unavailable, ErrorCode::internal})
    if (code == error_code_name(known)) return make_error(known, "{}", detail);
  return make_error(code == "unauthenticated" ? ErrorCode::refused : ErrorCode::unavailable,
                    "the edge answers {}: {}", reply.status, detail.empty() ? reply.body : detail);
}

// Its document; the edge's own error when the status is another.
Result<Json> expect(Result<rest::ClientReply> reply, int status) {
  if (!reply.ok()) return reply.error();
  if (reply->status != status) return error_of(*reply);
  return Json::parse(reply->body, nullptr, /*allow_exceptions=*/false);
}

class DeviceClient final : public Client {
 public:
  explicit DeviceClient(const EdgeAddress& edge)
      : https_(edge.host, edge.port, edge.authority, edge.api_key) {}

  Status create_gallery(const std::string& gallery) override {
    BAUTA_CHECK(expect(https_.post_json("/v1/galleries", Json{{"gallery", gallery}}.dump()), 201));
    return {};
  }
  Status delete_gallery(const std::string& gallery) override {
    BAUTA_CHECK(expect(https_.remove(path(gallery, "")), 204));
    return {};
  }
  Result<Enrolment> enrol(const std::string& gallery, const std::string& subject,
                          std::span<const Bytes> photos) override {
    BAUTA_TRY(const Json answer,
              expect(https_.post_images(path(gallery, "/subjects"), {{"subject", subject}},
                                        {photos.begin(), photos.end()}),
                     201));
    Enrolment enrolment;
    for (const Json& reference : answer["references"]) enrolment.references.push_back(reference);
    for (const Json& refused : answer["refused"])
      enrolment.refused.emplace_back(refused["image"], refused["reason"]);
    return enrolment;
  }
  Result<size_t> erase(const std::string& gallery, const std::string& subject) override {
    BAUTA_TRY(const Json answer, expect(https_.remove(path(gallery, "/subjects/" + subject)), 200));
    return answer["references"].get<size_t>();
  }
  Result<Recognition> identify(const std::string& gallery, const Bytes& photo) override {
    return ask(path(gallery, "/identify"), photo);
  }
  Result<Recognition> verify(const std::string& gallery, const std::string& subject,
                             const Bytes& photo) override {
    BAUTA_TRY(Recognition recognition,
              ask(path(gallery, "/subjects/" + subject + "/verify"), photo));
    if (recognition.decision == Decision::accepted) recognition.subject = subject;
    return recognition;
  }

 private:
  static std::string path(const std::string& gallery, const std::string& rest) {
    return "/v1/galleries/" + gallery + rest;
  }
  Result<Recognition> ask(const std::string& path, const Bytes& photo) {
    BAUTA_TRY(const Json answer, expect(https_.post_images(path, {}, {photo}), 200));
    Recognition recognition;
    if (answer["decision"] != "failed")
      recognition.decision =
          answer["decision"] == "accepted" ? Decision::accepted : Decision::rejected;
    if (answer.contains("subject") && answer["subject"].is_string())
      recognition.subject = answer["subject"];
    recognition.reason = answer["reason"];
    return recognition;
  }

  rest::HttpsClient https_;
};

// --- As an edge

Recognition from(const edge::Recognition& recognition) {
  const Decision decision = recognition.decision == v1::DECISION_ACCEPTED   ? Decision::accepted
                            : recognition.decision == v1::DECISION_REJECTED ? Decision::rejected
                                                                            : Decision::failed;
  return {decision, recognition.subject, recognition.reason};
}

class EdgeClient final : public Client {
 public:
  EdgeClient(std::unique_ptr<AuthService> auth, std::unique_ptr<EdgeKeyService> keys)
      : auth_(std::move(auth)), keys_(std::move(keys)) {}

  Status open(const rest::DeskOptions& options) {
    BAUTA_TRY(desk_, rest::Desk::open(options, *auth_, *keys_));
    return {};
  }

  Status create_gallery(const std::string& gallery) override {
    BAUTA_CHECK(desk_->create_gallery(gallery));
    return {};
  }
  Status delete_gallery(const std::string& gallery) override {
    return desk_->delete_gallery(gallery);
  }
  Result<Enrolment> enrol(const std::string& gallery, const std::string& subject,
                          std::span<const Bytes> photos) override {
    BAUTA_TRY(edge::Enrolment enrolled, desk_->with_edge(gallery, [&](edge::Edge& edge) {
      return edge.enroll(gallery, subject, photos, /*add=*/false);
    }));
    if (enrolled.reference_ids.empty())
      return make_error(ErrorCode::refused, "no photo can be used; the first: {}",
                        enrolled.refused.empty() ? "there is none" : enrolled.refused[0].reason);
    Enrolment enrolment{std::move(enrolled.reference_ids), {}};
    for (edge::RefusedImage& refused : enrolled.refused)
      enrolment.refused.emplace_back(refused.image, std::move(refused.reason));
    return enrolment;
  }
  Result<size_t> erase(const std::string& gallery, const std::string& subject) override {
    v1::EraseRequest request;
    request.set_gallery(gallery);
    request.set_subject(subject);
    BAUTA_TRY(const v1::EraseReply reply, auth_->erase(request));
    return static_cast<size_t>(reply.references());
  }
  Result<Recognition> identify(const std::string& gallery, const Bytes& photo) override {
    BAUTA_TRY(const edge::Recognition recognition, desk_->with_edge(gallery, [&](edge::Edge& edge) {
      return edge.identify(gallery, photo);
    }));
    return from(recognition);
  }
  Result<Recognition> verify(const std::string& gallery, const std::string& subject,
                             const Bytes& photo) override {
    BAUTA_TRY(const edge::Recognition recognition, desk_->with_edge(gallery, [&](edge::Edge& edge) {
      return edge.verify(gallery, subject, photo);
    }));
    return from(recognition);
  }

 private:
  const std::unique_ptr<AuthService> auth_;
  const std::unique_ptr<EdgeKeyService> keys_;
  std::unique_ptr<rest::Desk> desk_;
};

}  // namespace

std::unique_ptr<Client> connect_to_edge(const EdgeAddress& edge) {
  return std::make_unique<DeviceClient>(edge);
}

Result<std::unique_ptr<Client>> become_edge(const OwnEdge& options) {
  transport::ClientOptions to;
  to.tls = {options.authority, options.certificate, options.private_key};
  to.address = options.auth_service;
  BAUTA_TRY(std::unique_ptr<AuthService> auth, transport::connect_auth(to));
  to.address = options.key_service;
  BAUTA_TRY(std::unique_ptr<EdgeKeyService> keys, transport::connect_edge_keys(to));
  auto client = std::make_unique<EdgeClient>(std::move(auth), std::move(keys));
  rest::DeskOptions desk;
  desk.edge_id = options.id;
  desk.tenant = options.tenant;
  desk.engine = options.engine;
  desk.detector = options.detector;
  desk.directory = options.directory;
  BAUTA_CHECK(client->open(desk));
  return std::unique_ptr<Client>(std::move(client));
}

}  // namespace bauta::client
