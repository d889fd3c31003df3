#include "services/linkage/engine.h"

#include <algorithm>

#include "services/linkage/package.h"

namespace bauta::linkage {
Result<std::unique_ptr<Engine>> Engine::open(EngineOptions options, EngineServices services) {
  std::unique_ptr<Engine> engine(new Engine(std::move(options), services));
  const rest::DeskOptions& desk = engine->options_.desk;
  BAUTA_TRY(engine->features_, face::make_engine(desk.engine));
  BAUTA_TRY(engine->detector_, face::make_detector(desk.detector));
  BAUTA_TRY(engine->desk_, rest::Desk::open(desk, *services.auth, *services.edge_keys));
  return engine;
}

bool Engine::has_purpose(const std::string& purpose) const {
  return std::ranges::find(options_.purposes, purpose) != options_.purposes.end();
}

Result<std::vector<face::Embedding>> Engine::extract(ByteView package) const {
  BAUTA_TRY(const PackageView view, read_package(package));
  std::vector<face::Embedding> embeddings;
  std::string reason;
  for (const ByteView image : view.images) {
    Result<face::FaceOutcome> outcome = face::find_face(image, *detector_);
    if (!outcome.ok()) return outcome.error();
    if (const face::Refusal* const refusal = outcome->refusal(); refusal != nullptr) {
      reason = refusal->message;
      continue;
    }
    face::AlignedFace& aligned = std::get<face::FoundFace>(outcome->outcome).aligned;
    Result<face::Embedding> embedding = features_->extract(aligned);
    wipe(aligned.image.rgb);
    if (embedding.ok())
      embeddings.push_back(std::move(*embedding));
    else if (embedding.error().code == ErrorCode::refused)
      reason = embedding.error().message;
    else
      return embedding.error();
  }
  if (embeddings.empty()) return Error{ErrorCode::refused, reason};
  return embeddings;
}

Status Engine::prepare(const std::string& purpose) {
  const auto use = [&] { return desk_->with_edge(purpose, [](edge::Edge&) { return Status(); }); };
  const Status ready = use();
  if (ready.ok() || ready.error().code != ErrorCode::not_found) return ready;
  const Result<v1::Gallery> created = desk_->create_gallery(purpose);
  if (!created.ok() && created.error().code != ErrorCode::already_exists) return created.error();
  return use();
}

Status Engine::enrol(const std::string& purpose, const std::string& subject,
                     std::span<const face::Embedding> embeddings) {
  const Result<edge::Enrolment> enrolled = desk_->with_edge(
      purpose, [&](edge::Edge& edge) { return edge.enroll(purpose, subject, embeddings); });
  if (!enrolled.ok() && enrolled.error().code != ErrorCode::already_exists) return enrolled.error();
  return {};
}

Status Engine::erase(const std::string& purpose, const std::string& subject) {
  v1::EraseRequest request;
  request.set_gallery(purpose);
  request.set_subject(subject);
  const Result<v1::EraseReply> erased = services_.auth->erase(request);
  if (!erased.ok() && erased.error().code != ErrorCode::not_found) return erased.error();
  return {};
}

Result<v1::ListKeysReply> Engine::list_keys() {
  v1::ListKeysRequest request;
  request.set_tenant(options_.desk.tenant);
  return services_.oversight->list_keys(request);
}

Result<v1::CheckDecisionsReply> Engine::check_decisions() {
  return services_.oversight->check_decisions({});
}

Result<std::vector<v1::Gallery>> Engine::galleries() {
  BAUTA_TRY(const v1::ListGalleriesReply reply, services_.auth->list_galleries({}));
  std::vector<v1::Gallery> galleries;
  for (const v1::Gallery& gallery : reply.galleries())
    if (has_purpose(gallery.gallery())) galleries.push_back(gallery);
  return galleries;
}

}  // namespace bauta::linkage
